using System;
using System.Text;
using Mde.Native;

namespace Mde
{
    /// <summary>What is known of a call that did not end well.</summary>
    public sealed class MdeError
    {
        /// <summary>Makes an error that has no document.</summary>
        /// <param name="status">The status.</param>
        /// <param name="message">What happened and what to do.</param>
        public MdeError(MdeStatus status, string message)
        {
            Status = status;
            Name = NameOf(status);
            Message = message ?? throw new ArgumentNullException(nameof(message));
            IsRetryable = MayPass(status);
            IsOutcomeUnknown = status == MdeStatus.OutcomeUnknown;
        }

        /// <summary>Makes an error from its document.</summary>
        /// <param name="json">For example <c>{"error":{"status":61,"name":"not_found","message":"…","retryable":false}}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public MdeError(string json) : this(JsonObject.Parse(json), json)
        {
        }

        /// <summary>Makes an error from an object that has it, which may be a part of a document.</summary>
        internal MdeError(JsonObject document, string? json)
        {
            var error = document.RequiredObject("error");
            Json = json;
            Status = (MdeStatus)(error.Int32("status") ?? throw JsonObject.Lacks("status"));
            Name = error.Required("name");
            Message = error.Required("message");
            Stage = error.Text("stage");
            HttpStatus = error.Int32("http_status");
            ServiceCode = error.Text("service_code");
            RequestId = error.Text("request_id");
            CorrelationId = error.Text("correlation_id");
            IsRetryable = error.Flag("retryable");
            RetryAfter = error.Milliseconds("retry_after_ms");
            Attempts = error.Int32("attempts");
            IsOutcomeUnknown = error.Text("outcome") == "unknown";
            ActionId = error.Text("action_id");
            var action = error.Object("action");
            Action = action == null ? null : new MachineAction(action);
            var package = document.Object("package");
            Package = package == null ? null : new InvestigationPackage(package);
            Packages = json != null && document.Has("summary") ? new PackagesResult(json, document) : null;
        }

        // The document is of a later version, or a result, or there is none.
        private MdeError(MdeStatus status, string message, string? json) : this(status, message)
        {
            Json = json;
        }

        /// <summary>The status. One of a later version is a number without a name.</summary>
        public MdeStatus Status { get; }

        /// <summary>The name of the status, for example "rate_limited".</summary>
        public string Name { get; }

        /// <summary>What happened and what to do, in English, without secrets.</summary>
        public string Message { get; }

        /// <summary>The stage of the call: "token", "quota", "send", "reply", "wait", "link", "download" or "verify"; or null.</summary>
        public string? Stage { get; }

        /// <summary>The HTTP status of the reply; null without a reply.</summary>
        public int? HttpStatus { get; }

        /// <summary>The service's or sign-in service's own code.</summary>
        public string? ServiceCode { get; }

        /// <summary>The id that the service's support needs.</summary>
        public string? RequestId { get; }

        /// <summary>The id that the sign-in service's support needs, together with the request's id.</summary>
        public string? CorrelationId { get; }

        /// <summary>The same call may succeed later without any change.</summary>
        public bool IsRetryable { get; }

        /// <summary>How long to wait before trying again; null if it is not known.</summary>
        public TimeSpan? RetryAfter { get; }

        /// <summary>The number of requests sent.</summary>
        public int? Attempts { get; }

        /// <summary>Whether the request may have been carried out although the call failed. Check before repeating it.</summary>
        public bool IsOutcomeUnknown { get; }

        /// <summary>The machine action of the call; null if there is none.</summary>
        public string? ActionId { get; }

        /// <summary>The last state of that action; null if there is none.</summary>
        public MachineAction? Action { get; }

        /// <summary>
        /// The package that was refused and kept, as <see cref="MdeStatus.Unsafe"/> or <see cref="MdeStatus.Integrity"/>;
        /// null if there is none. A damaged one has no contents.
        /// </summary>
        public InvestigationPackage? Package { get; }

        /// <summary>How each device stands, if the call was <see cref="MdeClient.FetchPackages"/>; otherwise null.</summary>
        public PackagesResult? Packages { get; }

        /// <summary>
        /// The library's document; null if there is none. Where <see cref="Status"/> is <see cref="MdeStatus.Ok"/> it is
        /// the result of the call.
        /// </summary>
        public string? Json { get; }

        /// <summary>The name of the status and the message.</summary>
        public override string ToString()
        {
            return Name + ": " + Message;
        }

        /// <summary>Reads what a call returned. Never fails, since the call has ended.</summary>
        internal static MdeError Of(int status, string? json)
        {
            try
            {
                if (json != null && status != (int)MdeStatus.Ok)
                {
                    var error = new MdeError(json);
                    if ((int)error.Status == status)
                    {
                        return error;
                    }
                }
            }
            catch (FormatException)
            {
                // The status is known, and the error has the document as well.
            }
            var message = status == (int)MdeStatus.Ok ? "The call succeeded; the document of this error is its result."
                : status == (int)MdeStatus.Closed && json == null ? "The client was disposed before the call began."
                : "The call ended with " + NameOf((MdeStatus)status) + "; this binding cannot read its details.";
            return new MdeError((MdeStatus)status, message, json);
        }

        // As the native library has it, where a reply says nothing else.
        private static bool MayPass(MdeStatus status)
        {
            switch (status)
            {
                case MdeStatus.Resolve:
                case MdeStatus.Connect:
                case MdeStatus.Broken:
                case MdeStatus.Service:
                case MdeStatus.RateLimited:
                case MdeStatus.Throttled:
                case MdeStatus.NotReady:
                case MdeStatus.Deadline:
                    return true;
                default:
                    return false;
            }
        }

        internal string Facts()
        {
            return "status " + Name + (HttpStatus == null ? "" : ", HTTP " + HttpStatus)
                + (ServiceCode == null ? "" : ", service code " + ServiceCode)
                + (RequestId == null ? "" : ", request " + RequestId) + (ActionId == null ? "" : ", action " + ActionId)
                + (RetryAfter == null ? "" : ", retry after " + RetryAfter) + (IsRetryable ? ", retryable" : "")
                + (IsOutcomeUnknown ? ", outcome unknown" : "");
        }

        // As the native library names it, which the tests of a program may lack.
        private static string NameOf(MdeStatus status)
        {
            var name = new StringBuilder();
            foreach (var letter in status.ToString())
            {
                // A number has no name.
                if (letter == '-' || letter >= '0' && letter <= '9' && name.Length == 0)
                {
                    return "unknown";
                }
                if (char.IsUpper(letter) && name.Length > 0)
                {
                    name.Append('_');
                }
                name.Append(char.ToLowerInvariant(letter));
            }
            return name.ToString();
        }
    }
}

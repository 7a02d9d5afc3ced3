using System;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>The error of a failed call.</summary>
    public sealed class MdeError : MdeResult
    {
        /// <summary>The number of the status.</summary>
        [JsonPropertyName("status")]
        public int StatusCode { get; set; }

        /// <summary>The name of the status, for example "rate_limited".</summary>
        [JsonPropertyName("name")]
        public string Name { get; set; }

        /// <summary>What happened and what to do, in English, without secrets.</summary>
        [JsonPropertyName("message")]
        public string Message { get; set; }

        /// <summary>The stage of the call: "token", "quota", "send", "reply", "wait", "link", "download" or "verify"; or null.</summary>
        [JsonPropertyName("stage")]
        public string Stage { get; set; }

        /// <summary>The HTTP status of the reply; null without a reply.</summary>
        [JsonPropertyName("http_status")]
        public int? HttpStatus { get; set; }

        /// <summary>The service's or sign-in service's own code.</summary>
        [JsonPropertyName("service_code")]
        public string ServiceCode { get; set; }

        /// <summary>The id that the service's support needs.</summary>
        [JsonPropertyName("request_id")]
        public string RequestId { get; set; }

        /// <summary>The id that the sign-in service's support needs, together with the request's id.</summary>
        [JsonPropertyName("correlation_id")]
        public string CorrelationId { get; set; }

        /// <summary>The same call may succeed later without any change.</summary>
        [JsonPropertyName("retryable")]
        public bool Retryable { get; set; }

        /// <summary>How long to wait before trying again, in milliseconds.</summary>
        [JsonPropertyName("retry_after_ms")]
        public long? RetryAfterMs { get; set; }

        /// <summary>The number of requests sent.</summary>
        [JsonPropertyName("attempts")]
        public int? Attempts { get; set; }

        /// <summary>"unknown" if the request may have been carried out although the call failed; else null.</summary>
        [JsonPropertyName("outcome")]
        public string Outcome { get; set; }

        /// <summary>The machine action of the call; null if there is none.</summary>
        [JsonPropertyName("action_id")]
        public string ActionId { get; set; }

        /// <summary>The last state of that action; null if there is none.</summary>
        [JsonPropertyName("action")]
        public MachineAction Action { get; set; }

        /// <summary>The status. One of a later version is a number without a name.</summary>
        [JsonIgnore]
        public MdeStatus Status => (MdeStatus)StatusCode;

        /// <summary>How long to wait before trying again; null if it is not known.</summary>
        [JsonIgnore]
        public TimeSpan? RetryAfter => Times.Milliseconds(RetryAfterMs);

        /// <summary>Whether the request may have been carried out although the call failed. Check before repeating it.</summary>
        [JsonIgnore]
        public bool OutcomeUnknown => Outcome == "unknown";

        /// <summary>
        /// The error of the failed call that threw this exception. The exception may be one of this library, or one
        /// that a callback of the program threw: its <see cref="Exception.Data"/> then has the error. Null if no call
        /// threw it, or if the call succeeded: then its result is under <see cref="MdeException.JsonKey"/>.
        /// </summary>
        /// <param name="thrown">The exception.</param>
        public static MdeError Of(Exception thrown)
        {
            if (thrown == null)
            {
                throw new ArgumentNullException(nameof(thrown));
            }
            // Checked first: the exception of a callback may itself come from a call of this library.
            if (Native.Outcome.Of(thrown, out var status, out var json))
            {
                return status == MdeStatus.Ok ? null : Parse((int)status, json);
            }
            return (thrown as MdeException)?.Error ?? (thrown as MdeCanceledException)?.Error;
        }

        internal static MdeError Parse(int status, string json)
        {
            MdeError error = null;
            try
            {
                error = json == null ? null : Native.Documents.Read<ErrorDocument>(json).Error;
            }
            catch (Exception)
            {
                // The status is known, and the exception has the document as well.
            }
            if (error == null)
            {
                var name = MdeLibrary.StatusName((MdeStatus)status);
                error = new MdeError { Name = name, Message = "The call ended with " + name + "; this binding cannot read its details." };
            }
            error.StatusCode = status;
            error.Json = json;
            return error;
        }
    }

    /// <summary>The document of a failed call.</summary>
    internal sealed class ErrorDocument
    {
        [JsonPropertyName("error")]
        public MdeError Error { get; set; }
    }
}

using System;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>What a failed call left behind.</summary>
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

        /// <summary>Where it happened: "token", "quota", "send", "reply", "wait", "link", "download" or "verify"; or null.</summary>
        [JsonPropertyName("stage")]
        public string Stage { get; set; }

        /// <summary>The HTTP status of the reply, where there was one.</summary>
        [JsonPropertyName("http_status")]
        public int? HttpStatus { get; set; }

        /// <summary>The service's or sign-in service's own code.</summary>
        [JsonPropertyName("service_code")]
        public string ServiceCode { get; set; }

        /// <summary>What the service's support asks for.</summary>
        [JsonPropertyName("request_id")]
        public string RequestId { get; set; }

        /// <summary>What the sign-in service's support asks for, together with the request's id.</summary>
        [JsonPropertyName("correlation_id")]
        public string CorrelationId { get; set; }

        /// <summary>The same call may succeed later without any change.</summary>
        [JsonPropertyName("retryable")]
        public bool Retryable { get; set; }

        /// <summary>How long to wait before trying again, in milliseconds.</summary>
        [JsonPropertyName("retry_after_ms")]
        public long? RetryAfterMs { get; set; }

        /// <summary>Requests sent.</summary>
        [JsonPropertyName("attempts")]
        public int? Attempts { get; set; }

        /// <summary>"unknown" where the request may have been carried out although the call failed; else null.</summary>
        [JsonPropertyName("outcome")]
        public string Outcome { get; set; }

        /// <summary>The machine action that this is about, where there is one.</summary>
        [JsonPropertyName("action_id")]
        public string ActionId { get; set; }

        /// <summary>The action as last seen, where there is one.</summary>
        [JsonPropertyName("action")]
        public MachineAction Action { get; set; }

        /// <summary>The status. One that this version of the binding does not know is a number without a name.</summary>
        [JsonIgnore]
        public MdeStatus Status => (MdeStatus)StatusCode;

        /// <summary>How long to wait before trying again, where that is known.</summary>
        [JsonIgnore]
        public TimeSpan? RetryAfter => Times.Milliseconds(RetryAfterMs);

        /// <summary>The request may have been carried out although the call failed: look for its effect before repeating it.</summary>
        [JsonIgnore]
        public bool OutcomeUnknown => Outcome == "unknown";

        /// <summary>
        /// What a failed call left behind, whichever exception came out of it: one of this library, or one that a
        /// callback of the program threw, which carries it along in its <see cref="Exception.Data"/>. Null where the
        /// exception is of no call, or where the call succeeded all the same: then its result stands under
        /// <see cref="MdeException.JsonKey"/>.
        /// </summary>
        /// <param name="thrown">The exception.</param>
        public static MdeError Of(Exception thrown)
        {
            if (thrown == null)
            {
                throw new ArgumentNullException(nameof(thrown));
            }
            // First that: what a callback threw may be the exception of a call of its own.
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
                // The status is certain, and whoever catches it has the document too.
            }
            if (error == null)
            {
                var name = MdeLibrary.StatusName((MdeStatus)status);
                error = new MdeError { Name = name, Message = "The call ended with " + name + "; there is no more about it that this binding can read." };
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

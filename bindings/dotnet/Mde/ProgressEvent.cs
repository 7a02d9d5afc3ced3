using System;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>What a long call is at. Which members are there depends on <see cref="Stage"/>.</summary>
    public sealed class ProgressEvent : MdeResult
    {
        /// <summary>"quota", "collect", "wait", "download" or "verify"; pass over stages that you do not know.</summary>
        [JsonPropertyName("stage")]
        public string Stage { get; set; }

        /// <summary>The action that this is about; null before there is one.</summary>
        [JsonPropertyName("action_id")]
        public string ActionId { get; set; }

        /// <summary>"quota": whose quota has no room now.</summary>
        [JsonPropertyName("endpoint")]
        public string Endpoint { get; set; }

        /// <summary>"quota": milliseconds until it has, at least; null while that depends on other calls.</summary>
        [JsonPropertyName("wait_ms")]
        public long? WaitMs { get; set; }

        /// <summary>"collect": this call did not start the collection.</summary>
        [JsonPropertyName("adopted")]
        public bool? Adopted { get; set; }

        /// <summary>"wait": the state of the action; null while the service does not show it yet.</summary>
        [JsonPropertyName("status")]
        public string Status { get; set; }

        /// <summary>"wait": milliseconds since the call began to wait.</summary>
        [JsonPropertyName("elapsed_ms")]
        public long? ElapsedMs { get; set; }

        /// <summary>"wait": milliseconds until the next look, 0 after the last.</summary>
        [JsonPropertyName("next_poll_ms")]
        public long? NextPollMs { get; set; }

        /// <summary>"download", "verify": bytes on disk, or read so far.</summary>
        [JsonPropertyName("bytes")]
        public long? Bytes { get; set; }

        /// <summary>"download", "verify": how many there will be; null where that is not known.</summary>
        [JsonPropertyName("total")]
        public long? Total { get; set; }

        /// <summary>"download": the rate of late.</summary>
        [JsonPropertyName("bytes_per_second")]
        public long? BytesPerSecond { get; set; }

        /// <summary>"wait": the time since the call began to wait.</summary>
        [JsonIgnore]
        public TimeSpan? Elapsed => Times.Milliseconds(ElapsedMs);

        internal static ProgressEvent Parse(string json)
        {
            var result = Native.Documents.Read<ProgressEvent>(json);
            result.Json = json;
            return result;
        }
    }
}

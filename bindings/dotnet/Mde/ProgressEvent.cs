using System;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>The progress of a long call. Its members depend on <see cref="Stage"/>.</summary>
    public sealed class ProgressEvent : MdeResult
    {
        /// <summary>"quota", "collect", "wait", "download" or "verify". Later versions may add stages: ignore them.</summary>
        [JsonPropertyName("stage")]
        public string Stage { get; set; }

        /// <summary>The action of the call; null before there is one.</summary>
        [JsonPropertyName("action_id")]
        public string ActionId { get; set; }

        /// <summary>"quota": the endpoint whose quota is used up.</summary>
        [JsonPropertyName("endpoint")]
        public string Endpoint { get; set; }

        /// <summary>"quota": milliseconds until a slot is free, at least; null while that depends on other calls.</summary>
        [JsonPropertyName("wait_ms")]
        public long? WaitMs { get; set; }

        /// <summary>"collect": whether this call found the collection instead of starting it.</summary>
        [JsonPropertyName("adopted")]
        public bool? Adopted { get; set; }

        /// <summary>"wait": the state of the action; null while the service does not show it yet.</summary>
        [JsonPropertyName("status")]
        public string Status { get; set; }

        /// <summary>"wait": milliseconds since the call began to wait.</summary>
        [JsonPropertyName("elapsed_ms")]
        public long? ElapsedMs { get; set; }

        /// <summary>"wait": milliseconds until the next poll, 0 after the last.</summary>
        [JsonPropertyName("next_poll_ms")]
        public long? NextPollMs { get; set; }

        /// <summary>"download", "verify": bytes on disk, or read so far.</summary>
        [JsonPropertyName("bytes")]
        public long? Bytes { get; set; }

        /// <summary>"download", "verify": the number of bytes in all; null if it is not known.</summary>
        [JsonPropertyName("total")]
        public long? Total { get; set; }

        /// <summary>"download": the recent rate.</summary>
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

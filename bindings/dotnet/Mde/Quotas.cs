using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>One window of one endpoint.</summary>
    public sealed class Quota
    {
        /// <summary>"collect", "read", "list", "cancel", "link" or "machines".</summary>
        [JsonPropertyName("endpoint")]
        public string Endpoint { get; set; }

        /// <summary>Calls that fit into the window.</summary>
        [JsonPropertyName("limit")]
        public int Limit { get; set; }

        /// <summary>Length of the window in seconds.</summary>
        [JsonPropertyName("window_s")]
        public double WindowSeconds { get; set; }

        /// <summary>Calls that occupy a slot now; null while the tenant of the quota is unknown.</summary>
        [JsonPropertyName("used")]
        public int? Used { get; set; }

        /// <summary>Calls whose reply has not arrived.</summary>
        [JsonPropertyName("in_flight")]
        public int? InFlight { get; set; }

        /// <summary>Calls that wait for a slot.</summary>
        [JsonPropertyName("queued")]
        public int? Queued { get; set; }

        /// <summary>When the next call could be sent, in milliseconds from now; null while it depends on a call in flight.</summary>
        [JsonPropertyName("available_in_ms")]
        public long? AvailableInMs { get; set; }

        /// <summary>How long the endpoint stays closed, in milliseconds.</summary>
        [JsonPropertyName("closed_ms")]
        public long? ClosedMs { get; set; }

        /// <summary>Why it is closed.</summary>
        [JsonPropertyName("closed_by")]
        public string ClosedBy { get; set; }

        /// <summary>When the next call could be sent, from now; null while it depends on a call in flight.</summary>
        [JsonIgnore]
        public TimeSpan? AvailableIn => Times.Milliseconds(AvailableInMs);
    }

    /// <summary>Where the call log is kept.</summary>
    public sealed class QuotaLog
    {
        /// <summary>"process", "file" or "redis".</summary>
        [JsonPropertyName("kind")]
        public string Kind { get; set; }

        /// <summary>The file's path or the server's address.</summary>
        [JsonPropertyName("place")]
        public string Place { get; set; }

        /// <summary>The present problem with it; null for none.</summary>
        [JsonPropertyName("trouble")]
        public string Trouble { get; set; }
    }

    /// <summary>The result of <see cref="MdeClient.GetQuota"/>.</summary>
    public sealed class QuotaResult : MdeResult
    {
        /// <summary>One per endpoint and window.</summary>
        [JsonPropertyName("quotas")]
        public IReadOnlyList<Quota> Quotas { get; set; } = new Quota[0];

        /// <summary>Where the call log is kept.</summary>
        [JsonPropertyName("log")]
        public QuotaLog Log { get; set; }
    }
}

using System;
using System.Collections.Generic;
using System.Globalization;
using Mde.Native;

namespace Mde
{
    /// <summary>One window of the quota of one endpoint.</summary>
    public sealed class MdeQuota
    {
        internal MdeQuota(JsonObject quota)
        {
            Endpoint = quota.Required("endpoint");
            Limit = quota.Int32("limit") ?? 0;
            Window = quota.Seconds("window_s") ?? TimeSpan.Zero;
            Used = quota.Int32("used");
            InFlight = quota.Int32("in_flight");
            Queued = quota.Int32("queued");
            AvailableIn = quota.Milliseconds("available_in_ms");
            ClosedFor = quota.Milliseconds("closed_ms");
            ClosedBy = quota.Text("closed_by");
        }

        /// <summary>"collect", "read", "list", "cancel", "link" or "machines".</summary>
        public string Endpoint { get; }

        /// <summary>Calls that fit into the window.</summary>
        public int Limit { get; }

        /// <summary>Length of the window.</summary>
        public TimeSpan Window { get; }

        /// <summary>Calls that occupy a slot now; null while the tenant of the quota is unknown.</summary>
        public int? Used { get; }

        /// <summary>Calls whose reply has not arrived.</summary>
        public int? InFlight { get; }

        /// <summary>Calls that wait for a slot.</summary>
        public int? Queued { get; }

        /// <summary>When the next call could be sent, from now; null while it depends on a call in flight.</summary>
        public TimeSpan? AvailableIn { get; }

        /// <summary>How long the endpoint stays closed.</summary>
        public TimeSpan? ClosedFor { get; }

        /// <summary>Why it is closed.</summary>
        public string? ClosedBy { get; }

        /// <summary>The endpoint, its limit and how much of that is used.</summary>
        public override string ToString()
        {
            return string.Format(
                CultureInfo.InvariantCulture, "{0}: {1} of {2} calls in {3} s", Endpoint,
                Used == null ? "?" : Used.Value.ToString(CultureInfo.InvariantCulture), Limit, Window.TotalSeconds);
        }
    }

    /// <summary>Where the calls are counted.</summary>
    public sealed class QuotaLog
    {
        internal QuotaLog(JsonObject log)
        {
            Kind = log.Required("kind");
            Place = log.Text("place");
            Trouble = log.Text("trouble");
        }

        /// <summary>"process", "file" or "redis".</summary>
        public string Kind { get; }

        /// <summary>The file's path or the server's address.</summary>
        public string? Place { get; }

        /// <summary>The present problem with it; null for none.</summary>
        public string? Trouble { get; }

        /// <summary>The kind, the place and the problem.</summary>
        public override string ToString()
        {
            return Kind + (Place == null ? "" : " " + Place) + (Trouble == null ? "" : ": " + Trouble);
        }
    }

    /// <summary>The result of <see cref="MdeClient.GetQuota"/>.</summary>
    public sealed class QuotaResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"quotas":[{"endpoint":"collect","limit":100,"window_s":60}],"log":{"kind":"process"}}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public QuotaResult(string json) : base(json, out var document)
        {
            Quotas = document.Objects("quotas", it => new MdeQuota(it));
            Log = new QuotaLog(document.RequiredObject("log"));
        }

        /// <summary>One per endpoint and window.</summary>
        public IReadOnlyList<MdeQuota> Quotas { get; }

        /// <summary>Where the calls are counted.</summary>
        public QuotaLog Log { get; }

        /// <summary>All quotas.</summary>
        public override string ToString()
        {
            return string.Join("; ", Quotas);
        }
    }
}

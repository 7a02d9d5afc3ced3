using System;
using System.Globalization;
using Mde.Native;

namespace Mde
{
    /// <summary>The progress of a long call. Its members depend on <see cref="Stage"/>; the others are null.</summary>
    public sealed class ProgressEvent : MdeResult
    {
        /// <summary>Makes an event from its document.</summary>
        /// <param name="json">For example <c>{"stage":"download","bytes":22,"total":44}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public ProgressEvent(string json) : base(json, out var document)
        {
            Stage = document.Required("stage");
            ActionId = document.Text("action_id");
            Endpoint = document.Text("endpoint");
            Wait = document.Milliseconds("wait_ms");
            IsAdopted = document.Has("adopted") ? document.Flag("adopted") : (bool?)null;
            Status = document.Text("status");
            Elapsed = document.Milliseconds("elapsed_ms");
            NextPoll = document.Milliseconds("next_poll_ms");
            Bytes = document.Int64("bytes");
            Total = document.Int64("total");
            BytesPerSecond = document.Int64("bytes_per_second");
        }

        /// <summary>
        /// "quota", "collect", "wait", "download" or "verify". Later versions may add stages: ignore them.
        /// </summary>
        public string Stage { get; }

        /// <summary>The action of the call; null before there is one.</summary>
        public string? ActionId { get; }

        /// <summary>"quota": the endpoint whose quota is used up.</summary>
        public string? Endpoint { get; }

        /// <summary>"quota": how long until a slot is free, at least; null while that depends on other calls.</summary>
        public TimeSpan? Wait { get; }

        /// <summary>"collect": whether this call found the collection instead of starting it.</summary>
        public bool? IsAdopted { get; }

        /// <summary>"wait": the state of the action; null while the service does not show it yet.</summary>
        public string? Status { get; }

        /// <summary>"wait": how long the call has waited.</summary>
        public TimeSpan? Elapsed { get; }

        /// <summary>"wait": how long until the next poll; zero after the last.</summary>
        public TimeSpan? NextPoll { get; }

        /// <summary>"download", "verify": bytes on disk, or read so far.</summary>
        public long? Bytes { get; }

        /// <summary>"download", "verify": the number of bytes in all; null if it is not known.</summary>
        public long? Total { get; }

        /// <summary>"download": the recent rate.</summary>
        public long? BytesPerSecond { get; }

        /// <summary>The stage, and how far it is.</summary>
        public override string ToString()
        {
            var culture = CultureInfo.InvariantCulture;
            return Stage + (Status == null ? "" : ", " + Status)
                + (Bytes == null ? "" : ", " + Bytes.Value.ToString(culture))
                + (Total == null ? "" : " of " + Total.Value.ToString(culture))
                + (Bytes == null ? "" : " bytes");
        }
    }
}

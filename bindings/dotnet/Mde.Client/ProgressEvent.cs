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
            MachineId = document.Text("machine_id");
            Endpoint = document.Text("endpoint");
            Wait = document.Milliseconds("wait_ms");
            IsAdopted = document.Has("adopted") ? document.Flag("adopted") : (bool?)null;
            Status = document.Text("status");
            Elapsed = document.Milliseconds("elapsed_ms");
            NextPoll = document.Milliseconds("next_poll_ms");
            Bytes = document.Int64("bytes");
            Total = document.Int64("total");
            BytesPerSecond = document.Int64("bytes_per_second");
            Devices = document.Int32("devices");
            Done = document.Int32("done");
            Failed = document.Int32("failed");
            Skipped = document.Int32("skipped");
            Running = document.Int32("running");
            Ready = document.Int32("ready");
            Downloading = document.Int32("downloading");
            Eta = document.Milliseconds("eta_ms");
            Device = Stage == "ended" ? new DevicePackage(document) : null;
        }

        /// <summary>
        /// "quota", "collect", "wait", "download" or "verify"; of <see cref="MdeClient.FetchPackages"/> also "fleet" and
        /// "ended". Later versions may add stages: ignore them.
        /// </summary>
        public string Stage { get; }

        /// <summary>The action of the call; null before there is one.</summary>
        public string? ActionId { get; }

        /// <summary>The device, from <see cref="MdeClient.FetchPackages"/>; null if the event is of the whole job.</summary>
        public string? MachineId { get; }

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

        /// <summary>"download", "verify": bytes on disk, or read so far. "fleet": those of all packages and parts on disk.</summary>
        public long? Bytes { get; }

        /// <summary>"download", "verify": the number of bytes in all; null if it is not known.</summary>
        public long? Total { get; }

        /// <summary>"download": the recent rate.</summary>
        public long? BytesPerSecond { get; }

        /// <summary>"fleet": the number of all devices.</summary>
        public int? Devices { get; }

        /// <summary>"fleet": those whose package is there.</summary>
        public int? Done { get; }

        /// <summary>"fleet": those without a package, or with one that was refused.</summary>
        public int? Failed { get; }

        /// <summary>"fleet": those of which nothing was asked, because a problem is known.</summary>
        public int? Skipped { get; }

        /// <summary>"fleet": those whose collection was asked for and has not ended.</summary>
        public int? Running { get; }

        /// <summary>"fleet": those whose package is to be downloaded.</summary>
        public int? Ready { get; }

        /// <summary>"fleet": those whose package is being downloaded.</summary>
        public int? Downloading { get; }

        /// <summary>"fleet": the least time that the quota needs for the rest; null if it is not known.</summary>
        public TimeSpan? Eta { get; }

        /// <summary>"ended": the device with its outcome.</summary>
        public DevicePackage? Device { get; }

        /// <summary>The stage, and how far it is.</summary>
        public override string ToString()
        {
            var culture = CultureInfo.InvariantCulture;
            return Stage + (Status == null ? "" : ", " + Status) + (Device == null ? "" : ", " + Device)
                + (Devices == null ? "" : ", " + (Done ?? 0).ToString(culture) + " of " + Devices.Value.ToString(culture) + " packages")
                + (Bytes == null ? "" : ", " + Bytes.Value.ToString(culture))
                + (Total == null ? "" : " of " + Total.Value.ToString(culture))
                + (Bytes == null ? "" : " bytes");
        }
    }
}

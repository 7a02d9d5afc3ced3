using System;
using System.Collections.Generic;
using System.Globalization;
using Mde.Native;

namespace Mde
{
    /// <summary>One device of a job over many, and how far it is.</summary>
    public sealed class DevicePackage
    {
        internal DevicePackage(JsonObject device)
        {
            MachineId = device.Required("machine_id");
            State = device.Required("state");
            var package = device.Object("package");
            Package = package == null ? null : new InvestigationPackage(package);
            var action = device.Object("action");
            Action = action == null ? null : new MachineAction(action);
            IsAdopted = device.Flag("adopted");
            Error = device.Has("error") ? new MdeError(device, null) : null;
            Problems = device.Texts("problems");
        }

        /// <summary>The device.</summary>
        public string MachineId { get; }

        /// <summary>
        /// "done"; "failed", with the error; "skipped", with the problems; and of a device without an outcome "queued",
        /// "waiting" (for the device, which may be offline), "running" or "ready" (to be downloaded).
        /// </summary>
        public string State { get; }

        /// <summary>The package, or null; of a failed device the one that was refused and kept.</summary>
        public InvestigationPackage? Package { get; }

        /// <summary>The action that collects it; null if there is none.</summary>
        public MachineAction? Action { get; }

        /// <summary>The collection was found: it ran already, or the reply was lost and the list showed the action.</summary>
        public bool IsAdopted { get; }

        /// <summary>
        /// Why it has failed, or why its last request has; null without a failure. If that is retryable, the next call
        /// tries the device again.
        /// </summary>
        public MdeError? Error { get; }

        /// <summary>The problems for which it was skipped; as in <see cref="MachineCheck.Problems"/>.</summary>
        public IReadOnlyList<string> Problems { get; }

        /// <summary>The device and its state.</summary>
        public override string ToString()
        {
            return "device " + MachineId + ", " + State + (Error == null ? "" : ", " + Error.Name)
                + (Problems.Count == 0 ? "" : ", " + string.Join(", ", Problems));
        }
    }

    /// <summary>How many devices of a job are how far.</summary>
    public sealed class PackagesSummary
    {
        internal PackagesSummary(JsonObject summary)
        {
            Devices = summary.Int32("devices") ?? 0;
            Done = summary.Int32("done") ?? 0;
            Failed = summary.Int32("failed") ?? 0;
            Skipped = summary.Int32("skipped") ?? 0;
            Unfinished = summary.Int32("unfinished") ?? 0;
            Bytes = summary.Int64("bytes") ?? 0;
            Eta = summary.Milliseconds("eta_ms");
        }

        /// <summary>All devices.</summary>
        public int Devices { get; }

        /// <summary>Those whose package is there.</summary>
        public int Done { get; }

        /// <summary>Those without a package, or with one that was refused.</summary>
        public int Failed { get; }

        /// <summary>Those of which nothing was asked, because a problem is known.</summary>
        public int Skipped { get; }

        /// <summary>Those without an outcome, with which the next call goes on.</summary>
        public int Unfinished { get; }

        /// <summary>The size of all packages that are done.</summary>
        public long Bytes { get; }

        /// <summary>The least time that the quota needs for the rest; null if it is not known.</summary>
        public TimeSpan? Eta { get; }

        /// <summary>How many packages are there, and of how many devices.</summary>
        public override string ToString()
        {
            return Done.ToString(CultureInfo.InvariantCulture) + " of " + JsonObject.Count(Devices, "package");
        }
    }

    /// <summary>
    /// The result of <see cref="MdeClient.FetchPackages"/> and <see cref="MdeLibrary.ReadPackages"/>.
    /// <see cref="MdeError.Packages"/> has that of a call that failed.
    /// </summary>
    public sealed class PackagesResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"packages":[{"machine_id":"…","state":"queued"}],"summary":{"devices":1}}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public PackagesResult(string json) : this(json, JsonObject.Parse(json))
        {
        }

        internal PackagesResult(string json, JsonObject document) : base(json)
        {
            Packages = document.Objects("packages", it => new DevicePackage(it));
            Summary = new PackagesSummary(document.RequiredObject("summary"));
        }

        /// <summary>One for each device, in the order given.</summary>
        public IReadOnlyList<DevicePackage> Packages { get; }

        /// <summary>How many are how far.</summary>
        public PackagesSummary Summary { get; }

        /// <summary>How many packages are there, and of how many devices.</summary>
        public override string ToString()
        {
            return Summary.ToString();
        }
    }
}

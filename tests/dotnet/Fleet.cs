using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Mde;

namespace Mde.Tests
{
    /// <summary>A job over several devices.</summary>
    internal static class Fleet
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["packages_of_many_devices_are_fetched"] = Fetched;
            checks["a_token_provider_serves_the_downloads"] = Provided;
            checks["a_job_that_was_stopped_is_resumed"] = Resumed;
            checks["a_job_tells_what_is_missing"] = Incomplete;
            checks["a_receiver_that_throws_stops_the_job"] = Thrown;
        }

        private static string Devices(int count)
        {
            return "[\"" + string.Join("\",\"", Enumerable.Range(0, count).Select(Check.Machine)) + "\"]";
        }

        private static string NewFolder(string name)
        {
            return Directory.CreateDirectory(Check.File(name)).FullName;
        }

        private static void HasAll(PackagesResult job, int count)
        {
            Check.Equal(count, job.Packages.Count);
            Check.True(job.Summary.Done == count && job.Summary.Devices == count && job.Summary.Unfinished == 0, job.Json);
            Check.Equal(job.Summary.Bytes, job.Packages.Sum(it => it.Package?.Bytes ?? 0));
            for (var i = 0; i < count; i++)
            {
                var one = job.Packages[i];
                Check.True(one.MachineId == Check.Machine(i) && one.State == "done" && one.Error == null, one.ToString());
                Check.Equal(one.Action?.Id, one.Package?.ActionId);
                Check.Equal("Succeeded", one.Action?.Status);
                Console.WriteLine("sha256 " + one.Package?.Sha256 + " " + one.Package?.Path);
            }
        }

        private static void Fetched()
        {
            var folder = NewFolder("fleet \u6f22");
            using (var client = Check.Client())
            {
                var thread = Thread.CurrentThread.ManagedThreadId;
                var ended = new List<string>();
                ProgressEvent? last = null;
                var events = new Direct(it =>
                {
                    Check.Equal(thread, Thread.CurrentThread.ManagedThreadId);
                    Check.Equal(it.Stage == "fleet", it.MachineId == null);
                    Check.Equal(it.Stage == "ended", it.Device != null);
                    if (it.Device != null)
                    {
                        Check.True(it.Device.MachineId == it.MachineId && it.Device.State == "done", it.Json);
                        ended.Add(it.Device.MachineId);
                    }
                    last = it.Stage == "fleet" ? it : last;
                });
                var job = client.FetchPackages(Devices(4), "case 4711", folder, events);
                HasAll(job, 4);
                Check.Equal(ended.Count, ended.Distinct().Count());
                Check.True(last?.Devices == 4 && last.Done == 4 && last.Failed == 0 && last.Skipped == 0 && last.Running == 0, last?.Json);
                Check.True(last!.Ready == 0 && last.Downloading == 0 && last.Bytes == job.Summary.Bytes, last.Json);
                Check.Equal(job.Json, MdeLibrary.ReadPackages(folder).Json);
                Check.Equal(job.Json, client.FetchPackagesAsync(null, "case 4711", folder).Result.Json);
            }
        }

        /// <summary>Downloads need tokens, too: this provider is asked for every request.</summary>
        private static void Provided()
        {
            using (var client = Check.Client((scope, cancellation) => new MdeAccessToken(Check.Setting("TOKEN"))))
            {
                HasAll(client.FetchPackages(Devices(4), "case 4711", NewFolder("provided")), 4);
            }
        }

        private static void Resumed()
        {
            var folder = NewFolder("resumed");
            PackagesResult known;
            using (var client = Check.Client())
            using (var stop = new CancellationTokenSource())
            {
                // The token ends it at the first event, when some collections may run.
                var task = client.FetchPackagesAsync(Devices(4), "case 4711", folder, new Direct(it => stop.Cancel()), stop.Token);
                var e = Check.Throws<MdeCanceledException>(() => task.GetAwaiter().GetResult());
                Check.True(task.IsCanceled && e.CancellationToken == stop.Token, e.ToString());
                known = e.Error.Packages ?? throw new InvalidOperationException("no packages: " + e.Error.Json);
                Check.True(known.Packages.Count == 4 && known.Summary.Devices == 4, known.Json);
                Check.Equal(known.Summary.Done, MdeLibrary.ReadPackages(folder).Summary.Done);
            }
            using (var client = Check.Client())
            {
                var job = client.FetchPackagesAsync(null, "case 4711", folder).Result;
                HasAll(job, 4);
                // No device was asked twice.
                for (var i = 0; i < 4; i++)
                {
                    var before = known.Packages[i].Action;
                    Check.True(before == null || before.Id == job.Packages[i].Action?.Id, job.Json);
                }
            }
        }

        private static void Incomplete()
        {
            const string Unknown = "0123456789012345678901234567890123456789";
            var folder = NewFolder("incomplete");
            using (var client = Check.Client())
            {
                var ended = new List<DevicePackage?>();
                var e = Check.Fails(MdeStatus.Incomplete, () => client.FetchPackages(
                    "[\"" + Check.Machine(0) + "\",{\"machine_id\":\"" + Unknown + "\",\"comment\":\"own\"}]", "why", folder,
                    new Direct(it => ended.Add(it.Device))));
                // It ended long before the other.
                Check.Equal("failed", ended.Single(it => it?.MachineId == Unknown)?.State);
                Check.True(!e.IsRetryable && e.Error.Package == null, e.ToString());
                var job = e.Error.Packages ?? throw new InvalidOperationException("no packages: " + e.Error.Json);
                Check.Equal("1 of 2 packages", job.ToString());
                Check.True(job.Summary.Failed == 1 && job.Packages[0].State == "done", job.Json);
                var failed = job.Packages[1];
                Check.Equal("device " + Unknown + ", failed, not_found", failed.ToString());
                Check.True(failed.Package == null && failed.Action == null && failed.Error?.Status == MdeStatus.NotFound, job.Json);
                Check.True(failed.Error?.HttpStatus == 404 && !failed.Error.IsRetryable && failed.Error.Json == null, job.Json);
                Check.Equal(1, MdeLibrary.ReadPackages(folder).Summary.Failed);
                // The document of a search is a list of devices.
                var found = client.FindMachines(Check.Machine(1));
                e = Check.Fails(MdeStatus.Incomplete, () => client.FetchPackages(found.Json, "why", folder));
                Check.Equal(2, e.Error.Packages?.Summary.Done);
                Check.Fails(MdeStatus.InvalidArgument, () => client.FetchPackages("pc1, pc2", "why", folder));
            }
            Check.Fails(MdeStatus.File, () => MdeLibrary.ReadPackages(Check.File("missing")));
        }

        private static void Thrown()
        {
            var folder = NewFolder("thrown");
            using (var client = Check.Client())
            {
                var own = new InvalidOperationException("own");
                var e = Check.Throws<MdeCallbackException>(
                    () => client.FetchPackages(Devices(2), "why", folder, new Direct(it => throw own)));
                Check.True(ReferenceEquals(own, e.InnerException) && e.Error.Packages?.Summary.Devices == 2, e.Error.Json);
                HasAll(client.FetchPackages("[]", "why", folder), 2);
            }
        }
    }
}

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Mde;

namespace Mde.Tests
{
    /// <summary>Each call, with good ends and bad ones.</summary>
    internal static class Calls
    {
        private const string Comment = "case 4711 \u6f22\U0001f50d";

        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["a_package_is_fetched"] = Fetch;
            checks["a_package_is_fetched_step_by_step"] = Steps;
            checks["machines_are_found"] = Machines;
            checks["failures_tell_what_they_know"] = Failures;
            checks["quotas_are_told"] = Quotas;
            checks["access_is_checked"] = Access;
            checks["sixteen_threads_share_a_client"] = Threads;
        }

        /// <summary>Leaves it to whoever runs this: .NET Core 3.1 needs an OpenSSL for it that is not there any more.</summary>
        private static void HasSha256(string path, string sha256)
        {
            Console.WriteLine("sha256 " + sha256 + " " + path);
        }

        private static void Fetch()
        {
            using (var client = Check.Client())
            {
                var path = Check.File("\u6f22\U0001f50d 1.zip");
                var stages = new List<string>();
                var thread = Thread.CurrentThread.ManagedThreadId;
                var events = new Direct(it =>
                {
                    Check.Equal(thread, Thread.CurrentThread.ManagedThreadId);
                    Check.True(it.ActionId != null, "an action in " + it.Json);
                    Check.True(it.Stage != "wait" || it.Elapsed >= TimeSpan.Zero && it.NextPoll >= TimeSpan.Zero, it.Json);
                    Check.True(it.Stage != "verify" || it.Total > 0 && it.Bytes >= 0, it.Json);
                    stages.Add(it.Stage);
                });
                var fetched = client.FetchPackage(Check.Machine(0), Comment, path, events);
                Check.Equal(path, fetched.Package.Path);
                Check.Equal(new FileInfo(path).Length, fetched.Package.Bytes);
                HasSha256(path, fetched.Package.Sha256);
                Check.Equal("Succeeded", fetched.Action.Status);
                Check.Equal(Check.Machine(0), fetched.Action.MachineId);
                Check.Equal(Comment, fetched.Action.RequestorComment);
                Check.True(DateTimeOffset.UtcNow - fetched.Action.CreationTime < TimeSpan.FromMinutes(10), "made just now");
                Check.Equal(fetched.Action.Id, fetched.Package.ActionId);
                Check.Equal(false, fetched.IsAdopted);
                Check.Equal(false, fetched.Package.IsExisting);
                Check.Equal("windows", fetched.Package.Device);
                Check.Equal(0, fetched.Package.Files.Count);
                Check.Equal("collect wait download verify", string.Join(" ", stages.Distinct()));
                Check.Equal(fetched.Action.Status, MdeJson.Get(fetched.Json, "/action/status"));

                var again = client.FetchPackage(Check.Machine(0), Comment, path);
                Check.True(again.Package.IsExisting && again.IsAdopted, again.Json);

                var read = new List<string>();
                var listed = MdeLibrary.InspectPackage(path, new Direct(it => read.Add(it.Stage))).Package;
                Check.Equal("verify", string.Join(" ", read.Distinct()));
                using (var over = new CancellationTokenSource())
                {
                    over.Cancel();
                    Check.Throws<OperationCanceledException>(() => MdeLibrary.InspectPackage(path, null, over.Token));
                }
                Check.Equal(fetched.Package.Sha256, listed.Sha256);
                Check.Equal(listed.Entries, listed.Files.Count);
                var file = listed.Files.Single(it => it.Name == "Autoruns/HKLM_Run.txt");
                Check.True(file.Bytes > 0 && file.Compressed > 0 && file.Crc32.Length == 8 && file.Modified != null, "all of " + file.Name);
            }
        }

        private static void Steps()
        {
            using (var client = Check.Client())
            {
                var collected = client.CollectPackageAsync(Check.Machine(1), Comment).Result;
                var id = collected.Action.Id;
                Check.Equal("CollectInvestigationPackage", collected.Action.Type);
                Check.Equal(id, client.CollectPackage(Check.Machine(1), Comment).Action.Id);
                Check.Equal(id, client.GetActionAsync(id).Result.Action.Id);
                var early = Check.Fails(MdeStatus.NotReady, () => client.GetPackageUri(id));
                Check.Equal(id, early.Error.Action?.Id);
                Check.Equal("Succeeded", client.WaitActionAsync(id).Result.Action.Status);
                var listed = client.ListActionsAsync("machineId eq '" + Check.Machine(1) + "'").Result;
                Check.True(listed.Actions.Any(it => it.Id == id), listed.Json);
                Check.Has(client.GetPackageUriAsync(id).Result.Uri.OriginalString, "http");
                var package = client.DownloadPackageAsync(id, Program.Folder).Result.Package;
                HasSha256(package.Path, package.Sha256);
                Check.Has(package.Path, package.ComputerName + "_" + id + ".zip");

                var other = client.CollectPackage(Check.Machine(2), Comment).Action.Id;
                var cancelled = client.CancelActionAsync(other, "not needed").Result;
                Check.True(cancelled.IsCancelled && cancelled.Action.Status == "Cancelled", cancelled.Json);
                Check.Fails(MdeStatus.ActionCancelled, () => client.WaitAction(other));
            }
        }

        private static void Machines()
        {
            using (var client = Check.Client())
            {
                var found = client.FindMachinesAsync(Check.Machine(0)).Result;
                Check.Equal(1, found.Machines.Count);
                Check.Equal(Check.Machine(0), found.Machines[0].Id);
                Check.Equal("device-0001.contoso.example", found.Machines[0].ComputerDnsName);
                Check.True(found.Machines[0].LastSeen != null, found.Json);
                Check.Equal(Check.Machine(0), found.Checks[0].Id);
                Check.Equal(false, found.HasMore);
                Check.Equal(0, client.FindMachines("nobody.contoso.example").Machines.Count);
            }
        }

        private static void Failures()
        {
            using (var client = Check.Client())
            {
                var e = Check.Fails(MdeStatus.NotFound, () => client.CollectPackage("0123456789012345678901234567890123456789", "why"));
                Check.Equal((int?)404, e.HttpStatus);
                Check.True(e.Message.Length > 10 && !e.IsRetryable && e.Error.Attempts == 1, e.Error.Json);
                Check.True(e.Error.RequestId != null && !e.IsOutcomeUnknown, e.Error.Json);
                e = Check.Fails(MdeStatus.InvalidArgument, () => client.CollectPackage("", "why"));
                Check.Has(e.Message, "machine_id");
                Check.Equal(null, e.HttpStatus);
                var task = client.CollectPackageAsync("", "why");
                Check.True(Check.Throws<AggregateException>(task.Wait).InnerException is MdeException, "a faulted task");
            }
            using (var options = Check.Options().Set("client_secret", "canary"))
            using (var client = new MdeClient(options))
            {
                var e = Check.Fails(MdeStatus.Token, () => client.ListActions(""));
                Check.True(!e.ToString().Contains("canary"), "no secret in " + e);
                Check.True(e.Error.ServiceCode != null && e.Error.Stage == "token", e.Error.Json);
            }
            using (var options = Check.Options().Set("quota_limits", "machines=1/3600").Set("quota", "fail")
                .Set("api_url", Check.Setting("URL").Replace("127.0.0.1", "localhost")))
            using (var client = new MdeClient(options))
            {
                client.FindMachines(Check.Machine(0));
                var e = Check.Fails(MdeStatus.RateLimited, () => client.FindMachines(Check.Machine(0)));
                Check.True(e.IsRetryable && e.RetryAfter > TimeSpan.FromMinutes(50), e.Error.Json);
            }
        }

        private static void Access()
        {
            using (var client = Check.Client())
            {
                var access = client.CheckAccess();
                Check.True(access.IsOk && access.Steps.Count == 6 && access.ApiHost?.HttpStatus == 200, access.Json);
                Check.Equal("application", access.Identity?.Kind);
                Check.True(access.Functions.All(it => it.IsAllowed) && access.ToString() == "all is well", access.Json);
                Check.True(client.CheckAccessAsync().Result.IsOk, "on a thread of its own");
            }
        }

        private static void Quotas()
        {
            using (var client = Check.Client())
            {
                client.ListActions("status eq 'Pending'");
                var quotas = client.GetQuota();
                var list = quotas.Quotas.First(it => it.Endpoint == "list");
                Check.Equal(9999, list.Limit);
                Check.Equal(TimeSpan.FromMinutes(1), list.Window);
                Check.True(list.Used > 0 && list.InFlight == 0 && list.AvailableIn == TimeSpan.Zero, quotas.Json);
                Check.Equal("process", quotas.Log.Kind);
            }
        }

        private static void Threads()
        {
            using (var client = Check.Client())
            {
                var threads = Enumerable.Range(0, 16).Select(n => Task.Factory.StartNew(() =>
                {
                    for (var i = 0; i < 4; i++)
                    {
                        Check.Equal(Check.Machine(n % 4), client.FindMachines(Check.Machine(n % 4)).Machines[0].Id);
                        Check.Fails(MdeStatus.InvalidArgument, () => client.GetAction(""));
                    }
                }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
                Check.True(Task.WaitAll(threads, TimeSpan.FromMinutes(1)), "all threads are through");
            }
        }
    }
}

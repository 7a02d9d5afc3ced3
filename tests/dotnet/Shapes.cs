using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Mde;

namespace Mde.Tests
{
    /// <summary>Results, errors and clients that a program makes itself, for its own tests. Needs no native library.</summary>
    internal static class Shapes
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["results_are_read_from_documents"] = Results;
            checks["odd_values_do_not_cost_a_result"] = OddValues;
            checks["what_is_no_document_is_refused"] = NoDocuments;
            checks["results_say_what_they_are"] = Words;
            checks["exceptions_can_be_made"] = Exceptions;
            checks["names_of_statuses_need_no_library"] = Names;
            checks["a_client_can_be_replaced"] = Replaced;
        }

        private const string Action1 = "{\"id\":\"a1\",\"status\":\"Failed\",\"machineId\":\"m1\",\"errorHResult\":-2147024891,"
            + "\"creationDateTimeUtc\":\"2020-12-16T15:48:19.4523154Z\",\"lastUpdateDateTimeUtc\":null}";

        private static void Results()
        {
            var action = new MachineActionResult("{\"action\":" + Action1 + "}").Action;
            Check.Equal((int?)-2147024891, action.ErrorHResult);
            Check.Equal((DateTimeOffset?)new DateTimeOffset(2020, 12, 16, 15, 48, 19, TimeSpan.Zero).AddTicks(4523154), action.CreationTime);
            Check.Equal(null, action.LastUpdateTime);
            Check.Equal(2, new MachineActionsResult("{\"actions\":[" + Action1 + "," + Action1 + "]}").Actions.Count);
            Check.True(new CollectResult("{\"action\":{\"id\":\"a\"},\"adopted\":true}").IsAdopted, "adopted");
            Check.True(new CancelActionResult("{\"action\":{\"id\":\"a\"},\"cancelled\":true}").IsCancelled, "cancelled");
            var quota = new QuotaResult("{\"quotas\":[{\"endpoint\":\"collect\",\"limit\":100,\"window_s\":0.5,\"closed_ms\":1500}],"
                + "\"log\":{\"kind\":\"file\",\"place\":\"/q\"}}");
            Check.Equal(TimeSpan.FromMilliseconds(500), quota.Quotas[0].Window);
            Check.Equal((TimeSpan?)TimeSpan.FromMilliseconds(1500), quota.Quotas[0].ClosedFor);
            Check.Equal(null, quota.Quotas[0].Used);
            var access = new AccessResult(
                "{\"access\":{\"ok\":false,\"steps\":[{\"step\":\"sign_in\",\"result\":\"ok\"},{\"step\":\"clock\",\"result\":\"failed\","
                + "\"error\":{\"status\":20,\"name\":\"token\",\"message\":\"late\",\"retryable\":false}}],\"identity\":{\"kind\":\"application\","
                + "\"tenant\":\"t\",\"application\":\"a\",\"object\":\"o\",\"permissions\":[\"p\"],\"expires_at\":\"2026-01-24T23:17:02Z\"},"
                + "\"functions\":[{\"function\":\"mde_get_action\",\"allowed\":false,\"lacks\":[\"q\"]}],\"api_host\":{\"host\":\"h\",\"port\":443,"
                + "\"proxy\":{\"address\":\"p:1\",\"because\":\"option\",\"set_by\":\"proxy\"},\"addresses\":[{\"address\":\"192.0.2.1:1\",\"used\":true}],"
                + "\"tls\":\"TLS 1.3\",\"issuer\":\"CN=i\",\"http_status\":200,\"ms\":{\"lookup\":4,\"tls\":31},\"clock_ahead_s\":-3600}}}");
            Check.Equal("clock: failed: late", access.ToString());
            Check.True(!access.IsOk && access.Steps[0].Error == null && access.Steps[1].Error?.Status == MdeStatus.Token, access.Json);
            Check.True(access.Identity?.ApplicationId == "a" && access.Identity.Permissions.Single() == "p" && access.Identity.ExpiresOn?.Year == 2026, access.Json);
            Check.Equal("mde_get_action: lacks q", access.Functions.Single().ToString());
            var host = access.ApiHost!;
            Check.True(access.SignInHost == null && host.Port == 443 && host.Proxy == "p:1" && host.ProxySetBy == "proxy" && host.Addresses.Single().IsUsed, access.Json);
            Check.True(host.Lookup == TimeSpan.FromMilliseconds(4) && host.Handshake != null && host.Tunnel == null && host.ClockAhead == TimeSpan.FromHours(-1), access.Json);
            var uri = new PackageUriResult("{\"uri\":\"https://h.example/c/p.zip?sig=a%2Bb%3D\"}").Uri;
            Check.Equal("https://h.example/c/p.zip?sig=a%2Bb%3D", uri.OriginalString);
            var package = new FetchResult("{\"package\":{\"path\":\"p\",\"bytes\":5000000000,\"sha256\":\"s\",\"missing\":[\"x\"],\"files\":"
                + "[{\"name\":\"n\",\"bytes\":1,\"crc32\":\"c\",\"modified\":\"2026-01-02T03:04:06\"}]},\"action\":{\"id\":\"a\"},\"adopted\":false}").Package;
            Check.Equal(5000000000L, package.Bytes);
            Check.Equal("x", package.Missing.Single());
            Check.Equal((DateTime?)new DateTime(2026, 1, 2, 3, 4, 6, DateTimeKind.Unspecified), package.Files[0].Modified);
            var job = new PackagesResult("{\"packages\":[{\"machine_id\":\"m\",\"state\":\"skipped\",\"problems\":[\"merged\"]},7],"
                + "\"summary\":{\"devices\":2,\"bytes\":5000000000,\"eta_ms\":6000000000}}");
            Check.Equal("merged", job.Packages.Single().Problems.Single());
            Check.True(job.Summary.Bytes == 5000000000L && job.Summary.Eta == TimeSpan.FromSeconds(6000000) && job.Summary.Done == 0, job.Json);
            var progress = new ProgressEvent("{\"stage\":\"quota\",\"wait_ms\":9223372036854775807}");
            Check.True(progress.Wait == TimeSpan.MaxValue && progress.IsAdopted == null && progress.Bytes == null, progress.Json);
            Check.Equal("{\"stage\":\"verify\"}", new ProgressEvent("{\"stage\":\"verify\"}").Json);
        }

        private static void OddValues()
        {
            var machines = new MachinesResult(
                "{\"machines\":[{\"id\":\"m\",\"osPlatform\":{\"a\":[1]},\"lastSeen\":\"never\",\"riskScore\":7},4],\"more\":\"yes\",\"later\":{}}");
            var machine = machines.Machines.Single();
            Check.True(machine.OsPlatform == null && machine.LastSeen == null && machine.RiskScore == "7", machines.Json);
            Check.True(!machines.HasMore && machines.Checks.Count == 0, machines.Json);
            var action = new MachineActionResult("{\"action\":{\"id\":\"\\u00e4\\ud83d\\udd0d\",\"errorHResult\":\"5\",\"status\":true}}").Action;
            Check.True(action.Id == "\u00e4\U0001f50d" && action.ErrorHResult == 5 && action.Status == null, action.ToString());
            Check.Equal(null, new MachineActionResult("{\"action\":{\"id\":\"a\",\"errorHResult\":2147942405}}").Action.ErrorHResult);
        }

        private static void NoDocuments()
        {
            foreach (var bad in new[] { "", "{", "[]", "null", "{\"action\":1}", "{\"action\":{}}", "{\"action\":{\"id\":null}}", "{\"action\":{\"id\":\"\\u12\"}}" })
            {
                Check.Throws<FormatException>(() => new MachineActionResult(bad));
            }
            Check.Has(Check.Throws<FormatException>(() => new CollectResult("{}")).Message, "`action`");
            Check.Has(Check.Throws<FormatException>(() => new PackagesResult("{\"packages\":[]}")).Message, "`summary`");
            Check.Has(Check.Throws<FormatException>(() => new PackageUriResult("{\"uri\":\"/relative\"}")).Message, "`uri`");
            Check.Throws<FormatException>(() => new MdeError("{\"error\":{\"name\":\"x\",\"message\":\"y\"}}"));
            Check.Equal("json", Check.Throws<ArgumentNullException>(() => new ProgressEvent(null!)).ParamName);
        }

        private static void Words()
        {
            Check.Equal("action a1, Failed", new MachineActionResult("{\"action\":" + Action1 + "}").ToString());
            Check.Equal("1 action", new MachineActionsResult("{\"actions\":[" + Action1 + "]}").ToString());
            Check.Equal("link of h.example", new PackageUriResult("{\"uri\":\"https://h.example/c?sig=canary\"}").ToString());
            Check.Equal("package /e/p.zip, 5 bytes", new PackageResult("{\"package\":{\"path\":\"/e/p.zip\",\"bytes\":5,\"sha256\":\"s\"}}").ToString());
            Check.Equal("0 devices, and there are more", new MachinesResult("{\"machines\":[],\"more\":true}").ToString());
            Check.Equal("download, 5 of 10 bytes", new ProgressEvent("{\"stage\":\"download\",\"bytes\":5,\"total\":10}").ToString());
            Check.Equal("fleet, 1 of 3 packages, 5 bytes", new ProgressEvent("{\"stage\":\"fleet\",\"devices\":3,\"done\":1,\"bytes\":5}").ToString());
            Check.Equal("ended, device m, skipped, merged", new ProgressEvent(
                "{\"stage\":\"ended\",\"machine_id\":\"m\",\"state\":\"skipped\",\"problems\":[\"merged\"]}").ToString());
            Check.Equal("0 of 1 package", new PackagesResult("{\"packages\":[],\"summary\":{\"devices\":1}}").ToString());
            Check.Equal("wait, Pending", new ProgressEvent("{\"stage\":\"wait\",\"status\":\"Pending\"}").ToString());
            Check.Equal("collect: ? of 100 calls in 60 s", new QuotaResult(
                "{\"quotas\":[{\"endpoint\":\"collect\",\"limit\":100,\"window_s\":60}],\"log\":{\"kind\":\"process\"}}").ToString());
            Check.Equal("not_found: gone", new MdeError(MdeStatus.NotFound, "gone").ToString());
        }

        private static void Exceptions()
        {
            const string Json = "{\"error\":{\"status\":80,\"name\":\"rate_limited\",\"message\":\"full\",\"retryable\":true,\"retry_after_ms\":1500,"
                + "\"outcome\":\"unknown\",\"http_status\":429,\"action_id\":\"a1\",\"action\":" + Action1 + "}}";
            var e = new MdeException(new MdeError(Json));
            Check.True(e.IsRetryable && e.IsOutcomeUnknown && e.HttpStatus == 429 && e.ActionId == "a1", e.ToString());
            Check.Equal((TimeSpan?)TimeSpan.FromMilliseconds(1500), e.RetryAfter);
            Check.Equal("m1", e.Error.Action?.MachineId);
            Check.Equal("full", e.Message);
            Check.Has(e.ToString(), "status rate_limited, HTTP 429, action a1, retry after 00:00:01.5000000, retryable, outcome unknown");
            Check.True(new MdeException(MdeStatus.Service, "").IsRetryable, "as the library has it");
            Check.True(new MdeException(MdeStatus.OutcomeUnknown, "").IsOutcomeUnknown, "as the library has it");
            var refused = new MdeError("{\"error\":{\"status\":103,\"name\":\"unsafe\",\"message\":\"m\",\"retryable\":false},\"package\":"
                + "{\"path\":\"p.unsafe\",\"bytes\":7,\"sha256\":\"s\",\"unsafe_count\":1,\"unsafe_entries\":[{\"name\":\"../x\",\"reason\":\"has a path\"}]}}");
            Check.True(refused.Status == MdeStatus.Unsafe && refused.Package?.Path == "p.unsafe" && refused.Package.UnsafeCount == 1, refused.ToString());
            Check.Equal("../x has a path", refused.Package!.UnsafeEntries[0].ToString());
            Check.True(e.Error.Package == null && e.Error.Packages == null, "without a package");
            var incomplete = new MdeError("{\"error\":{\"status\":70,\"name\":\"incomplete\",\"message\":\"m\",\"retryable\":false},\"packages\":"
                + "[{\"machine_id\":\"m\",\"state\":\"failed\",\"error\":{\"status\":61,\"name\":\"not_found\",\"message\":\"gone\"}}],\"summary\":{\"failed\":1}}");
            Check.True(incomplete.Packages?.Summary.Failed == 1 && incomplete.Packages.Json == incomplete.Json, incomplete.ToString());
            Check.Equal("not_found: gone", incomplete.Packages!.Packages[0].Error?.ToString());
            e = new MdeException(MdeStatus.DiskFull, "no room");
            Check.True(e.Status == MdeStatus.DiskFull && e.Error.Name == "disk_full" && !e.IsRetryable && e.Error.Json == null, e.ToString());
            using (var stop = new CancellationTokenSource())
            {
                var cancelled = new MdeCanceledException(e.Error, stop.Token);
                Check.True(cancelled.CancellationToken == stop.Token && cancelled.Message == "no room", cancelled.ToString());
            }
            var inner = new InvalidOperationException("own");
            var thrown = new MdeCallbackException(e.Error, inner);
            Check.True(ReferenceEquals(inner, thrown.InnerException), "inside");
            Check.Equal("A callback threw InvalidOperationException: own The call ended with disk_full.", thrown.Message);
            Check.Equal("innerException", Check.Throws<ArgumentNullException>(() => new MdeCallbackException(e.Error, null!)).ParamName);
            Check.Equal("error", Check.Throws<ArgumentNullException>(() => new MdeException((MdeError)null!)).ParamName);
            Check.Equal("message", Check.Throws<ArgumentNullException>(() => new MdeError(MdeStatus.Ok, null!)).ParamName);
        }

        private static void Names()
        {
            foreach (MdeStatus status in Enum.GetValues(typeof(MdeStatus)))
            {
                Check.Equal(MdeLibrary.GetStatusName(status), new MdeError(status, "").Name);
            }
            Check.Equal("unknown", new MdeError((MdeStatus)12345, "").Name);
            Check.Equal("unknown", new MdeError((MdeStatus)(-1), "").Name);
        }

        private sealed class Double : MdeClient
        {
            internal bool IsDisposed { get; private set; }

            public override Task<CollectResult> CollectPackageAsync(
                string machineId, string comment, CancellationToken cancellationToken = default)
            {
                return machineId == "m1"
                    ? Task.FromResult(new CollectResult("{\"action\":{\"id\":\"a1\"}}"))
                    : Task.FromException<CollectResult>(new MdeException(MdeStatus.NotFound, "no such device"));
            }

            protected override void Dispose(bool disposing)
            {
                IsDisposed = true;
                base.Dispose(disposing);
            }
        }

        private static void Replaced()
        {
            var client = new Double();
            Check.Equal("a1", client.CollectPackageAsync("m1", "why").Result.Action.Id);
            Check.Fails(MdeStatus.NotFound, () => client.CollectPackageAsync("m2", "why").GetAwaiter().GetResult());
            Check.Has(Check.Throws<InvalidOperationException>(() => client.GetAction("a")).Message, "override");
            client.Dispose();
            Check.True(client.IsDisposed, "disposed");
        }
    }
}

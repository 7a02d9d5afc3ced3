using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Mde;

namespace Mde.Tests
{
    /// <summary>
    /// <c>Windows.exe PATH</c> fetches a package on Windows, or under Wine, where .NET hangs after the first exception that is
    /// caught: so nothing here throws. Prints what it found, a line each.
    /// </summary>
    internal static class Windows
    {
        private sealed class Stages : IProgress<ProgressEvent>
        {
            internal readonly List<string> Seen = new List<string>();

            public void Report(ProgressEvent value)
            {
                Seen.Add(value.Stage);
            }
        }

        private static string Setting(string name)
        {
            return Environment.GetEnvironmentVariable("MDE_TEST_" + name) ?? "";
        }

        private static void Main(string[] arguments)
        {
            Console.WriteLine("library " + MdeLibrary.Version + ", " + MdeLibrary.GetStatusName(MdeStatus.NotFound));
            var lines = 0;
            MdeLog.Set(MdeLogLevel.Info, (level, line) => Interlocked.Increment(ref lines));
            using (var options = new MdeOptions { ["api_url"] = Setting("URL"), ["tenant_id"] = Setting("TENANT"), ["client_id"] = Setting("CLIENT") })
            {
                options.Set("poll_interval_ms", 100).SetTokenProvider((scope, cancellation) => new MdeAccessToken(Setting("TOKEN")));
                using (var client = new MdeClient(options))
                using (var stop = new CancellationTokenSource())
                {
                    var machine = client.FindMachines(Setting("MACHINES").Split(' ')[0], stop.Token).Machines[0];
                    var stages = new Stages();
                    var fetched = client.FetchPackageAsync(machine.Id, "case 4711 \u6f22", arguments[0], stages, stop.Token).Result;
                    Console.WriteLine("fetched " + fetched.Package.Path);
                    Console.WriteLine("sha256 " + fetched.Package.Sha256);
                    Console.WriteLine("stages " + string.Join(" ", stages.Seen.Distinct()));
                    Console.WriteLine("comment " + (fetched.Action.RequestorComment == "case 4711 \u6f22"));
                    Console.WriteLine("quotas " + (client.GetQuota().Quotas.Count > 6));
                    Console.WriteLine("shutdown " + client.Shutdown(TimeSpan.FromSeconds(5)));
                }
            }
            MdeLog.Set(MdeLogLevel.Off, null);
            Console.WriteLine("log " + (lines > 0));
        }
    }
}

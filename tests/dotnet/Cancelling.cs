using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Mde;

namespace Mde.Tests
{
    /// <summary>Cancellation tokens, and what remains known.</summary>
    internal static class Cancelling
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["a_token_ends_a_stalled_call"] = Stalled;
            checks["a_token_ends_a_task"] = StalledTask;
            checks["a_token_that_is_cancelled_already"] = Already;
            checks["a_token_ends_a_wait"] = Wait;
            checks["a_token_is_cancelled_in_a_callback"] = InCallback;
        }

        private static void Stalled()
        {
            using (var client = Check.Client())
            using (var stop = new CancellationTokenSource())
            {
                client.FindMachines(Check.Machine(0));
                var time = new Stopwatch();
                new Timer(it => { time.Start(); stop.Cancel(); }, null, 300, Timeout.Infinite);
                var e = Check.Throws<MdeCanceledException>(
                    () => client.CollectPackage(Check.Setting("STALLED_MACHINE"), "why", stop.Token));
                Check.True(time.IsRunning && time.ElapsedMilliseconds < 1000, "ended in time: " + time.ElapsedMilliseconds);
                Check.Equal(stop.Token, e.CancellationToken);
                Check.Equal(MdeStatus.Cancelled, e.Error.Status);
                // The request was under way: nobody knows whether it was carried out.
                Check.True(e.IsOutcomeUnknown, e.Error.Json);
                Check.Equal("unknown", MdeJson.Get(e.Error.Json ?? "", "/error/outcome"));
            }
        }

        private static void StalledTask()
        {
            using (var client = Check.Client())
            using (var stop = new CancellationTokenSource())
            {
                client.FindMachines(Check.Machine(0));
                var task = client.CollectPackageAsync(Check.Setting("STALLED_MACHINE"), "why", stop.Token);
                Check.True(!task.Wait(300), "it stalls");
                stop.Cancel();
                var e = Check.Throws<MdeCanceledException>(() => task.GetAwaiter().GetResult());
                Check.True(task.IsCanceled && e.IsOutcomeUnknown && e.CancellationToken == stop.Token, e.Error.Json);
            }
        }

        private static void Already()
        {
            using (var client = Check.Client())
            {
                var stopped = new CancellationToken(true);
                var e = Check.Throws<MdeCanceledException>(() => client.CollectPackage(Check.Machine(0), "why", stopped));
                Check.True(!e.IsOutcomeUnknown && e.CancellationToken == stopped, e.Error.Json);
                var task = client.CollectPackageAsync(Check.Machine(0), "why", stopped);
                e = Check.Throws<MdeCanceledException>(() => task.GetAwaiter().GetResult());
                Check.True(task.IsCanceled && !e.IsOutcomeUnknown && e.CancellationToken == stopped, e.ToString());
            }
        }

        private static void Wait()
        {
            using (var client = Check.Client())
            using (var stop = new CancellationTokenSource())
            {
                // Long before that it has ended.
                stop.CancelAfter(TimeSpan.FromMinutes(5));
                var id = client.CollectPackage(Check.Machine(3), "why", stop.Token).Action.Id;
                Check.Equal("Succeeded", client.WaitAction(id, null, stop.Token).Action.Status);
            }
            using (var client = Check.Client())
            using (var stop = new CancellationTokenSource())
            {
                var e = Check.Throws<MdeCanceledException>(() => client.FetchPackage(
                    Check.Machine(3), "why", Check.File("wait.zip"), new Direct(it =>
                    {
                        if (it.Stage == "wait")
                        {
                            stop.CancelAfter(1);
                        }
                    }), stop.Token));
                Check.True(e.ActionId != null && e.Error.Action != null, "what it waited for: " + e.Error.Json);
                Check.Equal(e.ActionId, client.FetchPackage(Check.Machine(3), "why", Check.File("wait.zip")).Action.Id);
            }
        }

        private static void InCallback()
        {
            using (var client = Check.Client())
            using (var stop = new CancellationTokenSource())
            {
                var id = client.CollectPackage(Check.Machine(0), "why").Action.Id;
                var e = Check.Throws<MdeCanceledException>(
                    () => client.WaitAction(id, new Direct(it => stop.Cancel()), stop.Token));
                Check.Equal(id, e.ActionId);
            }
        }
    }
}

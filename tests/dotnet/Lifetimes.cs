using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Mde;

namespace Mde.Tests
{
    /// <summary>Disposing, too early, twice, by the collector.</summary>
    internal static class Lifetimes
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["disposed_things_say_so"] = Disposed;
            checks["disposing_ends_running_calls"] = DisposedWhileRunning;
            checks["disposing_at_once_ends_a_call_as_closed"] = DisposedAtOnce;
            checks["shutdown_waits"] = Shutdown;
            checks["a_callback_may_dispose"] = DisposedInCallback;
            checks["a_forgotten_client_lives_as_long_as_its_call"] = Forgotten;
            checks["stress_many_clients_come_and_go"] = Many;
        }

        private static void Disposed()
        {
            var options = Check.Options();
            var client = new MdeClient(options);
            options.Dispose();
            options.Dispose();
            Check.Throws<ObjectDisposedException>(() => options.Set("cloud", "eu"));
            Check.Throws<ObjectDisposedException>(() => options.SetJson("{}"));
            Check.Throws<ObjectDisposedException>(() => options.SetTokenProvider((scope, cancellation) => new MdeAccessToken("none")));
            Check.Throws<ObjectDisposedException>(() => new MdeClient(options));
            Check.Equal(1, client.FindMachines(Check.Machine(0)).Machines.Count);
            client.Dispose();
            client.Dispose();
            Check.Equal("MdeClient", Check.Throws<ObjectDisposedException>(() => client.FindMachines("x")).ObjectName);
            Check.Throws<ObjectDisposedException>(() => client.CollectPackage("x", "y"));
            Check.Throws<ObjectDisposedException>(() => client.WaitAction("x"));
            Check.Throws<ObjectDisposedException>(() => client.GetQuota());
            Check.Throws<ObjectDisposedException>(() => client.Shutdown(TimeSpan.Zero));
            // At the call, not in the task.
            Check.Throws<ObjectDisposedException>(() => client.GetActionAsync("x"));
            Check.Throws<ObjectDisposedException>(() => client.FetchPackageAsync("x", "y", "z"));
        }

        private static void DisposedWhileRunning()
        {
            var client = Check.Client();
            client.FindMachines(Check.Machine(0));
            var task = client.CollectPackageAsync(Check.Setting("STALLED_MACHINE"), "why");
            Check.True(!task.Wait(300), "it stalls");
            client.Dispose();
            var e = Check.Fails(MdeStatus.Closed, () => task.GetAwaiter().GetResult());
            Check.True(e.IsOutcomeUnknown, e.Error.Json);
        }

        /// <summary>Before the thread of the task, or just after it, has begun.</summary>
        private static void DisposedAtOnce()
        {
            for (var round = 0; round < 50; round++)
            {
                var client = Check.Client();
                var task = client.CollectPackageAsync(Check.Setting("STALLED_MACHINE"), "why");
                if (round % 2 != 0)
                {
                    Thread.Yield();
                }
                client.Dispose();
                Check.Fails(MdeStatus.Closed, () => task.GetAwaiter().GetResult());
            }
        }

        private static void Shutdown()
        {
            using (var client = Check.Client())
            {
                client.FindMachines(Check.Machine(0));
                var task = client.CollectPackageAsync(Check.Setting("STALLED_MACHINE"), "why");
                Check.True(!task.Wait(300), "it stalls");
                Check.True(client.Shutdown(TimeSpan.FromSeconds(5)), "all ended");
                Check.Fails(MdeStatus.Closed, () => task.GetAwaiter().GetResult());
                Check.Fails(MdeStatus.Closed, () => client.FindMachines(Check.Machine(0)));
                Check.Throws<ArgumentOutOfRangeException>(() => client.Shutdown(TimeSpan.FromSeconds(-1)));
            }
        }

        private static void DisposedInCallback()
        {
            var client = Check.Client();
            var id = client.CollectPackage(Check.Machine(0), "why").Action.Id;
            // The call goes on to its end on the handle that it holds.
            Check.Equal("Succeeded", client.WaitAction(id, new Direct(it => client.Dispose())).Action.Status);
            Check.Throws<ObjectDisposedException>(() => client.GetAction(id));
        }

        /// <summary>Nothing but the running call knows the client that it makes.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static Task<CollectResult> Start(CancellationToken stop)
        {
            return Check.Client().CollectPackageAsync(Check.Setting("STALLED_MACHINE"), "why", stop);
        }

        private static void Forgotten()
        {
            using (var stop = new CancellationTokenSource())
            {
                var task = Start(stop.Token);
                for (var i = 0; i < 20; i++)
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    Check.True(!task.Wait(20), "the call still runs");
                }
                stop.Cancel();
                Check.Throws<MdeCanceledException>(() => task.GetAwaiter().GetResult());
            }
        }

        private static void Many()
        {
            for (var i = 0; i < 300; i++)
            {
                var client = Check.Client((scope, cancellation) => new MdeAccessToken("none"));
                if (i % 3 != 0)
                {
                    client.Dispose();
                }
                if (i % 50 == 0)
                {
                    GC.Collect();
                }
            }
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }
}

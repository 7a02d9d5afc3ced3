using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Mde;

namespace Mde.Tests
{
    /// <summary>What the library calls back: progress, tokens, log lines.</summary>
    internal static class Callbacks
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["what_a_progress_receiver_throws_comes_out"] = ProgressThrows;
            checks["what_a_token_provider_throws_comes_out"] = ProviderThrows;
            checks["a_token_provider_is_asked"] = Provider;
            checks["an_asynchronous_token_provider_is_asked"] = AsyncProvider;
            checks["an_asynchronous_token_provider_may_fail"] = AsyncProviderFails;
            checks["what_a_provider_started_goes_on_without_it"] = AfterProvider;
            checks["a_provider_that_gives_up_fails_no_other_call"] = GivesUpAlone;
            checks["an_asynchronous_token_provider_is_a_callback"] = AsyncProviderNested;
            checks["a_callback_may_use_the_library"] = Nested;
            checks["what_a_signer_throws_comes_out"] = SignerThrows;
            checks["a_signer_is_asked_and_its_signature_checked"] = SignerAsked;
            checks["an_asynchronous_signer_may_fail"] = AsyncSignerFails;
            checks["a_signer_is_told_of_the_deadline"] = SignerDeadline;
            checks["log_lines_arrive"] = Log;
            checks["a_refused_log_receiver_changes_nothing"] = LogRefused;
            checks["a_log_receiver_must_not_set_another"] = LogWithinLog;
            checks["a_log_receiver_must_not_shut_a_client_down"] = LogShutdown;
            checks["a_log_receiver_may_dispose"] = LogDispose;
            checks["what_callbacks_hold_is_let_go"] = LetGo;
            checks["stress_callbacks_survive_the_collector"] = Collector;
        }

        private sealed class Own : Exception
        {
            internal Own() : base("own")
            {
            }
        }

        private static MdeAccessToken Token()
        {
            return new MdeAccessToken(Check.Setting("TOKEN"), DateTimeOffset.UtcNow.AddHours(1));
        }

        private static void Throw()
        {
            throw new Own();
        }

        private static void ProgressThrows()
        {
            using (var client = Check.Client())
            {
                var id = client.CollectPackage(Check.Machine(0), "why").Action.Id;
                var calls = 0;
                var e = Check.Throws<MdeCallbackException>(
                    () => client.WaitAction(id, new Direct(it => { calls++; Throw(); })));
                Check.Equal(1, calls);
                Check.True(e.InnerException is Own, "as it was thrown");
                Check.Has(e.InnerException?.StackTrace, "Throw");
                Check.Equal(id, e.ActionId);
                Check.True(e is MdeException && e.Status == MdeStatus.Cancelled, e.ToString());
                Check.Equal("Succeeded", client.WaitAction(id).Action.Status);
            }
        }

        private static void ProviderThrows()
        {
            using (var client = Check.Client((scope, cancellation) => { Throw(); return Token(); }))
            {
                var e = Check.Throws<MdeCallbackException>(() => client.ListActions(""));
                Check.True(e.InnerException is Own && e.Status == MdeStatus.Token, e.ToString());
                Check.Equal("token", e.Error.Name);
            }
            using (var client = Check.Client((scope, cancellation) => (MdeAccessToken)null!))
            {
                var e = Check.Throws<MdeCallbackException>(() => client.ListActions(""));
                Check.True(e.InnerException is InvalidOperationException, e.ToString());
            }
            using (var client = Check.Client((scope, cancellation) => new MdeAccessToken("two words")))
            {
                var e = Check.Fails(MdeStatus.Token, () => client.ListActions(""));
                Check.Has(e.Message, "without the word Bearer");
            }
            // One that gives up because the call was cancelled.
            using (var stop = new CancellationTokenSource())
            using (var client = Check.Client((scope, cancellation) =>
            {
                stop.Cancel();
                cancellation.ThrowIfCancellationRequested();
                return Token();
            }))
            {
                var e = Check.Throws<MdeCanceledException>(() => client.ListActions("", stop.Token));
                Check.Equal(stop.Token, e.CancellationToken);
                Check.True(e.InnerException is OperationCanceledException && e.Error.Name != null, e.Error.Json);
            }
        }

        /// <summary>For a certificate whose key nobody has, so that no signature fits it.</summary>
        private static MdeOptions SignerOptions()
        {
            return new MdeOptions
            {
                ["api_url"] = Check.Setting("URL"),
                ["login_url"] = Check.Setting("URL"),
                ["tenant_id"] = Check.Setting("TENANT"),
                ["client_id"] = Check.Setting("CLIENT"),
                ["client_certificate"] = Check.Setting("CERTIFICATE"),
            };
        }

        private static MdeClient SignerClient(Func<string, byte[], CancellationToken, byte[]> signer)
        {
            using (var options = SignerOptions())
            {
                return new MdeClient(options.SetSigner(signer));
            }
        }

        private static void SignerThrows()
        {
            using (var client = SignerClient((algorithm, data, cancellation) => { Throw(); return data; }))
            {
                var e = Check.Throws<MdeCallbackException>(() => client.ListActions(""));
                Check.True(e.InnerException is Own && e.Status == MdeStatus.Token, e.ToString());
            }
            using (var client = SignerClient((algorithm, data, cancellation) => null!))
            {
                var e = Check.Throws<MdeCallbackException>(() => client.ListActions(""));
                Check.Has(e.InnerException?.Message, "returned null");
            }
            using (var client = SignerClient((algorithm, data, cancellation) => new byte[2000]))
            {
                var e = Check.Fails(MdeStatus.Token, () => client.ListActions(""));
                Check.Has(e.Message, "mde_signature_set");
            }
            // One that gives up because the call was cancelled.
            using (var stop = new CancellationTokenSource())
            using (var client = SignerClient((algorithm, data, cancellation) =>
            {
                stop.Cancel();
                cancellation.ThrowIfCancellationRequested();
                return data;
            }))
            {
                Check.Throws<MdeCanceledException>(() => client.ListActions("", stop.Token));
            }
        }

        private static void SignerAsked()
        {
            string? askedFor = null;
            var size = 0;
            using (var client = SignerClient((algorithm, data, cancellation) =>
            {
                askedFor = algorithm;
                size = data.Length;
                return new byte[256];
            }))
            {
                var e = Check.Fails(MdeStatus.Token, () => client.ListActions(""));
                Check.Has(e.Message, "does not fit `client_certificate`");
                Check.Equal("PS256", askedFor);
                Check.True(size > 100, "some data");
            }
        }

        private static void AsyncSignerFails()
        {
            using (var options = SignerOptions())
            {
                options.SetSigner(async (algorithm, data, cancellation) =>
                {
                    await Task.Delay(20, cancellation);
                    throw new Own();
                });
                using (var client = new MdeClient(options))
                {
                    var e = Check.Throws<MdeCallbackException>(() => client.ListActions(""));
                    Check.True(e.InnerException is Own, e.ToString());
                }
            }
        }

        private static void SignerDeadline()
        {
            using (var options = SignerOptions().Set("timeout_ms", 200))
            {
                options.SetSigner(async (algorithm, data, cancellation) =>
                {
                    await Task.Delay(TimeSpan.FromMinutes(5), cancellation);
                    return data;
                });
                using (var client = new MdeClient(options))
                {
                    var e = Check.Fails(MdeStatus.Deadline, () => client.ListActions(""));
                    Check.True(e.InnerException is OperationCanceledException, e.ToString());
                }
            }
        }

        private static void Provider()
        {
            var asked = 0;
            string? askedFor = null;
            using (var client = Check.Client((scope, cancellation) =>
            {
                askedFor = scope;
                Interlocked.Increment(ref asked);
                return Token();
            }))
            {
                Task.WaitAll(Enumerable.Range(0, 8).Select(n => client.FindMachinesAsync(Check.Machine(0))).ToArray<Task>());
                Check.Equal(1, asked);
                Check.Has(askedFor, "https://");
                // The options are gone; a client does not need them.
                GC.Collect();
                GC.WaitForPendingFinalizers();
                Check.Equal(1, client.FindMachines(Check.Machine(0)).Machines.Count);
            }
        }

        /// <summary>Like that of a program with a window: what is posted to it waits for its one thread.</summary>
        private sealed class OneThread : SynchronizationContext
        {
            internal int Posted;

            public override void Post(SendOrPostCallback work, object? state)
            {
                // This thread is in the call, which waits for the provider.
                Interlocked.Increment(ref Posted);
            }
        }

        private static async Task<MdeAccessToken> Later(string scope, CancellationToken cancellation)
        {
            await Task.Delay(20, cancellation);
            await Task.Yield();
            return scope.Length > 0 ? Token() : throw new Own();
        }

        private static void AsyncProvider()
        {
            using (var client = Check.AsyncClient(Later))
            {
                var context = new OneThread();
                var before = SynchronizationContext.Current;
                SynchronizationContext.SetSynchronizationContext(context);
                try
                {
                    Check.Equal(1, client.FindMachines(Check.Machine(0)).Machines.Count);
                }
                finally
                {
                    SynchronizationContext.SetSynchronizationContext(before);
                }
                Check.Equal(0, context.Posted);
                Check.Equal(1, client.FindMachinesAsync(Check.Machine(0)).Result.Machines.Count);
            }
        }

        private static void AsyncProviderFails()
        {
            using (var options = new MdeOptions())
            {
                Check.Equal("provider", Check.Throws<ArgumentNullException>(
                    () => options.SetTokenProvider((Func<string, CancellationToken, Task<MdeAccessToken>>)null!)).ParamName);
            }
            using (var client = Check.AsyncClient(async (scope, cancellation) =>
            {
                await Task.Yield();
                Throw();
                return Token();
            }))
            {
                Check.True(Check.Throws<MdeCallbackException>(() => client.ListActions("")).InnerException is Own, "as it was thrown");
            }
            using (var client = Check.AsyncClient((scope, cancellation) => (Task<MdeAccessToken>)null!))
            {
                var e = Check.Throws<MdeCallbackException>(() => client.ListActions(""));
                Check.Has(e.InnerException?.Message, "returned null");
            }
            using (var client = Check.AsyncClient((scope, cancellation) => Task.FromResult<MdeAccessToken>(null!)))
            {
                var e = Check.Throws<MdeCallbackException>(() => client.ListActions(""));
                Check.Has(e.InnerException?.Message, "returned null");
            }
            using (var stop = new CancellationTokenSource())
            using (var client = Check.AsyncClient(async (scope, cancellation) =>
            {
                stop.Cancel();
                await Task.Delay(Timeout.Infinite, cancellation);
                return Token();
            }))
            {
                var e = Check.Throws<MdeCanceledException>(() => client.ListActions("", stop.Token));
                Check.True(e.InnerException is OperationCanceledException && e.CancellationToken == stop.Token, e.ToString());
            }
        }

        /// <summary>It may use other clients, but its own waits for it, also after it went on on other threads.</summary>
        private static void AsyncProviderNested()
        {
            MdeClient? own = null;
            var refused = 0;
            using (var other = Check.Client())
            using (var client = Check.AsyncClient(async (scope, cancellation) =>
            {
                await Task.Delay(10, cancellation);
                var itself = own ?? throw new InvalidOperationException("the client is not known");
                foreach (var call in new Action[]
                {
                    () => itself.Shutdown(TimeSpan.FromMinutes(1)),
                    () => other.Shutdown(TimeSpan.Zero),
                    () => itself.FindMachines("x"),
                    () => itself.FindMachinesAsync("x"),
                })
                {
                    Check.Throws<InvalidOperationException>(call);
                    refused++;
                }
                Check.Equal(1, (await other.FindMachinesAsync(Check.Machine(0))).Machines.Count);
                return Token();
            }))
            {
                own = client;
                var time = Stopwatch.StartNew();
                Check.Equal(1, client.FindMachines(Check.Machine(0)).Machines.Count);
                Check.True(refused == 4 && time.ElapsedMilliseconds < 30000, "all refused at once");
                // The thread that asked is none of the provider.
                Check.Equal(1, client.FindMachines(Check.Machine(1)).Machines.Count);
                Check.True(client.Shutdown(TimeSpan.FromSeconds(5)), "and may shut down");
            }
        }

        private static void AfterProvider()
        {
            MdeClient? own = null;
            Task<int>? later = null;
            var ended = new ManualResetEventSlim();
            using (var client = Check.AsyncClient(async (scope, cancellation) =>
            {
                later = Task.Run(() =>
                {
                    ended.Wait();
                    return own?.FindMachines(Check.Machine(0)).Machines.Count ?? 0;
                });
                await Task.Yield();
                return Token();
            }))
            {
                own = client;
                Check.Equal(1, client.FindMachines(Check.Machine(0)).Machines.Count);
                ended.Set();
                Check.Equal(1, later?.GetAwaiter().GetResult());
            }
        }

        /// <summary>One call asks the provider, and the others wait for its token.</summary>
        private static void GivesUpAlone()
        {
            var asked = 0;
            using (var stop = new CancellationTokenSource())
            using (var inside = new ManualResetEventSlim())
            using (var client = Check.Client((scope, cancellation) =>
            {
                if (Interlocked.Increment(ref asked) == 1)
                {
                    inside.Set();
                    cancellation.WaitHandle.WaitOne();
                    // The others wait by now.
                    Thread.Sleep(200);
                    cancellation.ThrowIfCancellationRequested();
                }
                return Token();
            }))
            {
                var first = client.FindMachinesAsync(Check.Machine(0), stop.Token);
                inside.Wait();
                var others = Enumerable.Range(0, 4).Select(n => client.FindMachinesAsync(Check.Machine(n))).ToArray();
                Thread.Sleep(100);
                stop.Cancel();
                var e = Check.Throws<MdeCanceledException>(() => first.GetAwaiter().GetResult());
                Check.True(e.InnerException is OperationCanceledException && e.Error.Status == MdeStatus.Cancelled, e.ToString());
                foreach (var other in others)
                {
                    Check.Equal(1, other.GetAwaiter().GetResult().Machines.Count);
                }
                Check.Equal(2, asked);
            }
        }

        private static void Nested()
        {
            using (var client = Check.Client((scope, cancellation) => Token()))
            {
                var id = client.CollectPackage(Check.Machine(0), "why").Action.Id;
                var inner = 0;
                var result = client.WaitAction(id, new Direct(it =>
                {
                    Check.Equal(id, client.GetAction(id).Action.Id);
                    Check.Throws<InvalidOperationException>(() => client.Shutdown(TimeSpan.Zero));
                    inner++;
                }));
                Check.True(result.Action.Status == "Succeeded" && inner > 0, "waited and looked");
            }
        }

        private static void Log()
        {
            var lines = new List<string>();
            MdeLog.Set(MdeLogLevel.Debug, (level, line) =>
            {
                lock (lines)
                {
                    lines.Add(level + " " + line);
                }
                throw new Own();
            });
            using (var client = Check.Client())
            {
                client.FindMachines(Check.Machine(0));
                Check.True(lines.Any(it => it.StartsWith("Debug GET /api/machines")), string.Join("\n", lines));
                MdeLog.Set(MdeLogLevel.Off, null);
                var before = lines.Count;
                client.FindMachines(Check.Machine(0));
                Check.Equal(before, lines.Count);
            }
        }

        private static void LogRefused()
        {
            int first = 0, second = 0;
            MdeLog.Set(MdeLogLevel.Debug, (level, line) => Interlocked.Increment(ref first));
            try
            {
                var e = Check.Throws<ArgumentOutOfRangeException>(
                    () => MdeLog.Set((MdeLogLevel)99, (level, line) => Interlocked.Increment(ref second)));
                Check.Equal("level", e.ParamName);
                Check.Throws<ArgumentOutOfRangeException>(() => MdeLog.Set((MdeLogLevel)(-1), null));
                using (var client = Check.Client())
                {
                    client.FindMachines(Check.Machine(0));
                }
                Check.True(first > 0 && second == 0, "lines go where they went: " + first + ", " + second);
            }
            finally
            {
                MdeLog.Set(MdeLogLevel.Off, null);
            }
        }

        /// <summary>Also after it was called again within its own call, as by a second copy of the native library.</summary>
        private static void LogWithinLog()
        {
            var again = typeof(MdeLog).GetMethod("Line", BindingFlags.NonPublic | BindingFlags.Static);
            var text = Marshal.StringToHGlobalAnsi("within");
            var seen = new List<string>();
            Action<MdeLogLevel, string>? receiver = null;
            var itself = new GCHandle();
            receiver = (level, line) =>
            {
                try
                {
                    if (line != "within")
                    {
                        again?.Invoke(null, new object[] { GCHandle.ToIntPtr(itself), 1, text });
                    }
                    MdeLog.Set(MdeLogLevel.Off, null);
                    line = "set: " + line;
                }
                catch (InvalidOperationException)
                {
                }
                lock (seen)
                {
                    seen.Add(line);
                }
            };
            itself = GCHandle.Alloc(receiver);
            MdeLog.Set(MdeLogLevel.Debug, receiver);
            try
            {
                using (var client = Check.Client())
                {
                    client.FindMachines(Check.Machine(0));
                }
                Check.True(seen.Count > 1 && seen.Contains("within"), "both");
                Check.True(!seen.Any(it => it.StartsWith("set: ")), string.Join("\n", seen));
            }
            finally
            {
                MdeLog.Set(MdeLogLevel.Off, null);
                itself.Free();
                Marshal.FreeHGlobal(text);
            }
        }

        private static void LogShutdown()
        {
            Exception? thrown = null;
            var time = Stopwatch.StartNew();
            using (var client = Check.Client())
            {
                MdeLog.Set(MdeLogLevel.Debug, (level, line) =>
                {
                    try
                    {
                        client.Shutdown(TimeSpan.FromSeconds(20));
                    }
                    catch (Exception e)
                    {
                        Volatile.Write(ref thrown, e);
                    }
                });
                try
                {
                    Check.Equal(1, client.FindMachines(Check.Machine(0)).Machines.Count);
                }
                finally
                {
                    MdeLog.Set(MdeLogLevel.Off, null);
                }
            }
            Check.True(Volatile.Read(ref thrown) is InvalidOperationException, "refused: " + thrown);
            Check.True(time.ElapsedMilliseconds < 10000, "at once: " + time.ElapsedMilliseconds);
        }

        private static void LogDispose()
        {
            var client = Check.Client();
            var id = client.CollectPackage(Check.Machine(0), "why").Action.Id;
            var lines = 0;
            MdeLog.Set(MdeLogLevel.Debug, (level, line) =>
            {
                Interlocked.Increment(ref lines);
                client.Dispose();
            });
            try
            {
                // The call goes on to its end on the handle that it holds.
                var task = Task.Factory.StartNew(() => client.WaitAction(id), TaskCreationOptions.LongRunning);
                Check.True(task.Wait(TimeSpan.FromSeconds(30)), "no hang");
                Check.Equal("Succeeded", task.Result.Action.Status);
            }
            finally
            {
                MdeLog.Set(MdeLogLevel.Off, null);
            }
            Check.True(lines > 0, "there were lines");
            Check.Throws<ObjectDisposedException>(() => client.GetAction(id));
        }

        /// <summary>Once no call of the callback can come any more. Collectors may take a local for a reference.</summary>
        private static void LetGo()
        {
            var held = new List<WeakReference>();
            for (var round = 0; round < 10; round++)
            {
                Hold(held);
            }
            MdeLog.Set(MdeLogLevel.Off, null);
            for (var round = 0; round < 20 && held.Count(it => it.IsAlive) > 4; round++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            Check.True(held.Count(it => it.IsAlive) <= 4, held.Count(it => it.IsAlive) + " of " + held.Count + " are held");
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Hold(List<WeakReference> held)
        {
            var lines = new object();
            MdeLog.Set(MdeLogLevel.Debug, (level, line) => GC.KeepAlive(lines));
            held.Add(new WeakReference(lines));
            var tokens = new object();
            using (var client = Check.Client((scope, cancellation) => { GC.KeepAlive(tokens); return Token(); }))
            {
                Check.Equal(1, client.FindMachines(Check.Machine(0)).Machines.Count);
            }
            held.Add(new WeakReference(tokens));
            using (var options = Check.Options())
            {
                var replaced = new object();
                options.SetTokenProvider((scope, cancellation) => { GC.KeepAlive(replaced); return Token(); });
                options.SetTokenProvider((scope, cancellation) => Token());
                held.Add(new WeakReference(replaced));
            }
        }

        private static void Collector()
        {
            var stop = false;
            var collector = new Thread(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                }
            });
            collector.Start();
            MdeLog.Set(MdeLogLevel.Debug, (level, line) => GC.KeepAlive(line + new string('x', 100)));
            try
            {
                Task.WaitAll(Enumerable.Range(0, 4).Select(n => Task.Factory.StartNew(() => Rounds(n), TaskCreationOptions.LongRunning)).ToArray());
            }
            finally
            {
                MdeLog.Set(MdeLogLevel.Off, null);
                Volatile.Write(ref stop, true);
                collector.Join();
            }
        }

        private static void Rounds(int n)
        {
            for (var round = 0; round < 3; round++)
            {
                var asked = 0;
                // Without an end, so that it is asked for every request.
                using (var client = Check.Client((scope, cancellation) => { asked++; return new MdeAccessToken(Check.Setting("TOKEN")); }))
                {
                    var events = 0;
                    var id = client.CollectPackage(Check.Machine(n), "why").Action.Id;
                    using (var stop = new CancellationTokenSource())
                    {
                        client.WaitAction(id, new Direct(it => events++), stop.Token);
                    }
                    Check.True(events > 0 && asked > 1, "events and tokens");
                }
            }
        }
    }
}

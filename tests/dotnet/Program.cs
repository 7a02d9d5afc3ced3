using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Mde;

namespace Mde.Tests
{
    /// <summary>
    /// The checks of the .NET binding: <c>Tests.exe FOLDER NAME…</c> runs those named, in that order, against the
    /// service that MDE_TEST_… describe. Ends with 0 when all passed, and prints each with its time.
    /// </summary>
    internal static class Program
    {
        private static readonly SortedDictionary<string, Action> Checks = new SortedDictionary<string, Action>(StringComparer.Ordinal);

        internal static string Folder { get; private set; } = "";

        private static int Main(string[] arguments)
        {
            Basics.AddTo(Checks);
            Calls.AddTo(Checks);
            Fleet.AddTo(Checks);
            Callbacks.AddTo(Checks);
            Cancelling.AddTo(Checks);
            Lifetimes.AddTo(Checks);
            Shapes.AddTo(Checks);
            Targeted.AddTo(Checks);
            Outcomes.AddTo(Checks);
            if (arguments.Length == 1 && arguments[0] == "--list")
            {
                foreach (var name in Checks.Keys)
                {
                    Console.WriteLine(name);
                }
                return 0;
            }
            if (arguments.Length == 1 && arguments[0] == "--first-use")
            {
                return FirstUse();
            }
            Folder = arguments[0];
            Console.WriteLine("runtime " + Environment.Version + ", library " + MdeLibrary.Version);
            var failed = 0;
            for (var i = 1; i < arguments.Length; i++)
            {
                var time = Stopwatch.StartNew();
                try
                {
                    Checks[arguments[i]]();
                    Console.WriteLine("ok {0} {1} ({2} ms)", i, arguments[i], time.ElapsedMilliseconds);
                }
                catch (Exception e)
                {
                    failed++;
                    Console.WriteLine("not ok {0} {1}: {2}", i, arguments[i], e);
                }
            }
            Console.WriteLine("{0} passed, {1} failed", arguments.Length - 1 - failed, failed);
            return failed == 0 ? 0 : 1;
        }

        /// <summary>Many threads load the library at once, before anything else did.</summary>
        private static int FirstUse()
        {
            const int Count = 16;
            var threads = new Thread[Count];
            var loaded = 0;
            using (var start = new Barrier(Count))
            {
                for (var i = 0; i < Count; i++)
                {
                    threads[i] = new Thread(() =>
                    {
                        start.SignalAndWait();
                        try
                        {
                            MdeLibrary.Load();
                            Interlocked.Increment(ref loaded);
                        }
                        catch (Exception e)
                        {
                            Console.WriteLine(e.GetType() + ": " + e.Message);
                        }
                    });
                    threads[i].Start();
                }
                foreach (var thread in threads)
                {
                    thread.Join();
                }
            }
            Console.WriteLine("loaded " + loaded);
            return loaded == Count ? 0 : 1;
        }
    }

    /// <summary>What the checks have in common.</summary>
    internal static class Check
    {
        internal static string Setting(string name)
        {
            return Environment.GetEnvironmentVariable("MDE_TEST_" + name) ?? throw new InvalidOperationException("MDE_TEST_" + name + " is not set");
        }

        internal static string Machine(int n)
        {
            return Setting("MACHINES").Split(' ')[n];
        }

        // The real ones are for a minute each: two links in it, for instance.
        private const string Limits = "collect=9999/60;read=9999/60;list=9999/60;cancel=9999/60;link=9999/60;machines=9999/60";

        internal static MdeOptions Options()
        {
            return new MdeOptions
            {
                ["api_url"] = Setting("URL"),
                ["login_url"] = Setting("URL"),
                ["tenant_id"] = Setting("TENANT"),
                ["client_id"] = Setting("CLIENT"),
                ["client_secret"] = Setting("SECRET"),
                ["quota_limits"] = Limits,
            }.Set("poll_interval_ms", TimeSpan.FromMilliseconds(100));
        }

        internal static MdeClient Client()
        {
            using (var options = Options())
            {
                return new MdeClient(options);
            }
        }

        /// <summary>A client that signs in with a token provider.</summary>
        internal static MdeClient Client(Func<string, CancellationToken, MdeAccessToken> provider)
        {
            using (var options = new MdeOptions { ["api_url"] = Setting("URL"), ["tenant_id"] = Setting("TENANT"), ["client_id"] = Setting("CLIENT") })
            {
                options.SetTokenProvider(provider).Set("poll_interval_ms", 100).Set("quota_limits", Limits);
                return new MdeClient(options);
            }
        }

        /// <summary>One that signs in with an asynchronous provider.</summary>
        internal static MdeClient AsyncClient(Func<string, CancellationToken, Task<MdeAccessToken>> provider)
        {
            using (var options = new MdeOptions { ["api_url"] = Setting("URL"), ["tenant_id"] = Setting("TENANT"), ["client_id"] = Setting("CLIENT") })
            {
                return new MdeClient(options.SetTokenProvider(provider));
            }
        }

        internal static string File(string name)
        {
            return Path.Combine(Program.Folder, name);
        }

        internal static void True(bool condition, string? what)
        {
            if (!condition)
            {
                throw new InvalidOperationException("not so: " + what);
            }
        }

        internal static void Equal<T>(T expected, T found)
        {
            if (!Equals(expected, found))
            {
                throw new InvalidOperationException("expected `" + expected + "`, found `" + found + "`");
            }
        }

        internal static void Has(string? text, string part)
        {
            True(text != null && text.IndexOf(part, StringComparison.Ordinal) >= 0, "`" + text + "` has `" + part + "`");
        }

        internal static E Throws<E>(Action action) where E : Exception
        {
            try
            {
                action();
            }
            catch (E e)
            {
                return e;
            }
            throw new InvalidOperationException("no " + typeof(E).Name);
        }

        internal static MdeException Fails(MdeStatus status, Action action)
        {
            var e = Throws<MdeException>(action);
            Equal(status, e.Status);
            Equal(status, e.Error.Status);
            Equal(MdeLibrary.GetStatusName(status), e.Error.Name);
            return e;
        }
    }

    /// <summary>Hands events over at once, on the thread that they come on.</summary>
    internal sealed class Direct : IProgress<ProgressEvent>
    {
        private readonly Action<ProgressEvent> receiver;

        internal Direct(Action<ProgressEvent> receiver)
        {
            this.receiver = receiver;
        }

        public void Report(ProgressEvent value)
        {
            receiver(value);
        }
    }
}

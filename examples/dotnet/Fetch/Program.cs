using System;
using System.Collections;
using System.Collections.Generic;
using System.Threading;

namespace Mde.Examples
{
    /// <summary>Fetches an investigation package from one device, shows progress, and prints what arrived.</summary>
    internal static class Program
    {
        private const int Done = 0;
        private const int Failed = 1;
        private const int Usage = 2;
        private const int Later = 3;

        private static int Main(string[] arguments)
        {
            if (arguments.Length != 3)
            {
                Console.Error.WriteLine(
                    "usage: Fetch MACHINE COMMENT PATH\n" +
                    "Options of the library are read from MDE_OPTION_<NAME>: MDE_OPTION_TENANT_ID,\n" +
                    "MDE_OPTION_CLIENT_ID, MDE_OPTION_CLIENT_SECRET and so on.\n" +
                    "Exit codes: 0 the package is there; 1 it failed; 2 wrong usage; 3 try again later.");
                return Usage;
            }
            using (var stop = new CancellationTokenSource())
            {
                ConsoleCancelEventHandler onInterrupt = (sender, e) =>
                {
                    // The program must not end before the call has ended.
                    e.Cancel = true;
                    stop.Cancel();
                };
                Console.CancelKeyPress += onInterrupt;
                try
                {
                    return Fetch(arguments[0], arguments[1], arguments[2], stop.Token);
                }
                catch (MdeCanceledException e)
                {
                    Report("cancelled", e.Error);
                    Console.Error.WriteLine("Run the same command to resume.");
                    return Failed;
                }
                catch (MdeException e)
                {
                    Report(e.Error.Name + " (" + (int)e.Status + ")", e.Error);
                    return e.Status == MdeStatus.Config ? Usage : e.IsRetryable ? Later : Failed;
                }
                finally
                {
                    Console.CancelKeyPress -= onInterrupt;
                }
            }
        }

        private static int Fetch(string machine, string comment, string path, CancellationToken stop)
        {
            MdeClient client;
            using (var options = new MdeOptions())
            {
                foreach (var option in FromEnvironment())
                {
                    options.Set(option.Key, option.Value);
                }
                client = new MdeClient(options);
            }
            using (client)
            {
                var line = new ProgressLine();
                var fetched = client.FetchPackage(machine, comment, path, line, stop);
                line.End();
                var package = fetched.Package;
                Console.WriteLine("package  " + package.Path);
                Console.WriteLine("bytes    " + package.Bytes);
                Console.WriteLine("sha256   " + package.Sha256);
                Console.WriteLine("entries  " + package.Entries);
                Console.WriteLine("action   " + fetched.Action.Id);
                Console.WriteLine("adopted  " + (fetched.IsAdopted ? "yes" : "no"));
                foreach (var missing in package.Missing)
                {
                    Console.WriteLine("missing  " + missing);
                }
                return Done;
            }
        }

        private static IEnumerable<KeyValuePair<string, string>> FromEnvironment()
        {
            const string Prefix = "MDE_OPTION_";
            foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
            {
                if (variable.Key is string name && variable.Value is string value
                    && name.StartsWith(Prefix, StringComparison.Ordinal))
                {
                    yield return new KeyValuePair<string, string>(name.Substring(Prefix.Length).ToLowerInvariant(), value);
                }
            }
        }

        private static void Report(string what, MdeError error)
        {
            Console.Error.WriteLine();
            Console.Error.WriteLine(what + ": " + error.Message);
            if (error.ActionId != null)
            {
                Console.Error.WriteLine("  action " + error.ActionId);
            }
            if (error.IsOutcomeUnknown)
            {
                Console.Error.WriteLine("  It is not known whether a collection was started.");
            }
            if (error.RetryAfter != null)
            {
                Console.Error.WriteLine("  retry after " + error.RetryAfter.Value);
            }
        }
    }

    /// <summary>
    /// One line that is redrawn. The class Progress of .NET would pass the events to other threads, where they may
    /// arrive out of order.
    /// </summary>
    internal sealed class ProgressLine : IProgress<ProgressEvent>
    {
        private readonly bool terminal = !Console.IsErrorRedirected;
        private string last = "";

        public void Report(ProgressEvent value)
        {
            var text = Text(value);
            if (text == null || text == last)
            {
                return;
            }
            last = text;
            if (terminal)
            {
                Console.Error.Write("\r" + text.PadRight(70));
            }
            else
            {
                Console.Error.WriteLine(text);
            }
        }

        internal void End()
        {
            if (terminal)
            {
                Console.Error.WriteLine();
            }
        }

        private static string? Text(ProgressEvent value)
        {
            switch (value.Stage)
            {
                case "collect":
                    return "collecting, action " + value.ActionId;
                case "quota":
                    var wait = value.Wait == null ? "" : ", " + (long)value.Wait.Value.TotalSeconds + " s at least";
                    return "queueing for the quota of " + value.Endpoint + wait;
                case "wait":
                    return "waiting, " + (value.Status ?? "not listed yet") + " after " + (long)(value.Elapsed ?? TimeSpan.Zero).TotalSeconds + " s";
                case "download":
                case "verify":
                    var done = value.Total > 0 ? value.Bytes * 100 / value.Total + " %" : value.Bytes + " bytes";
                    return (value.Stage == "verify" ? "checking, " : "downloading, ") + done;
                default:
                    // A stage of a later version of the library.
                    return null;
            }
        }
    }
}

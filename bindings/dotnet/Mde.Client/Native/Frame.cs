using System;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Mde.Native
{
    /// <summary>
    /// One call into the library, on the thread that makes it. Its callbacks run on that thread and find it there. No
    /// exception may pass through native code, so it holds a callback's exception until the call has returned.
    /// </summary>
    internal sealed class Frame
    {
        [ThreadStatic]
        private static Frame? current;

        // The number of callbacks that this thread is in. One that uses the library may cause another.
        [ThreadStatic]
        private static int callbacks;

        private readonly Frame? outer;
        private readonly IProgress<ProgressEvent>? progress;
        private readonly CancellationToken cancellation;
        private readonly ClientHandle? client;

        internal Frame(ClientHandle? client, IProgress<ProgressEvent>? progress, CancellationToken cancellation)
        {
            this.client = client;
            this.progress = progress;
            this.cancellation = cancellation;
            outer = current;
            current = this;
        }

        internal bool HasProgress => progress != null;

        internal Exception? ProgressError { get; private set; }

        internal Exception? TokenError { get; private set; }

        /// <summary>
        /// Whether this thread is in a callback: a receiver of events or log lines, a token provider or a signer. The native call
        /// that made it cannot end before the callback does, so a callback must not wait for that call.
        /// </summary>
        internal static bool InCallback => callbacks > 0 || Provider.Value?.Client != null;

        // Asynchronous providers run on other threads. Their run is known wherever their code goes on.
        private static readonly AsyncLocal<ProviderRun?> Provider = new AsyncLocal<ProviderRun?>();

        /// <summary>What a provider started may go on when it has ended, and is then no part of it.</summary>
        private sealed class ProviderRun
        {
            private volatile ClientHandle? client;

            internal ProviderRun(ClientHandle? client)
            {
                this.client = client;
            }

            /// <summary>The client that waits for the provider; null when it has ended.</summary>
            internal ClientHandle? Client => client;

            internal void End()
            {
                client = null;
            }
        }

        /// <summary>Runs a provider of the call that this thread makes, on the thread pool.</summary>
        internal static T RunProvider<T>(Func<Task<T>> provider)
        {
            var run = new ProviderRun(current?.client);
            try
            {
                return Task.Run(
                    () =>
                    {
                        Provider.Value = run;
                        return provider() ?? throw new InvalidOperationException("The token provider or signer returned null.");
                    },
                    CancellationToken.None).GetAwaiter().GetResult();
            }
            finally
            {
                run.End();
            }
        }

        /// <summary>Whether this is the code of an asynchronous provider, for which a call of this client waits.</summary>
        internal static bool IsProviderOf(ClientHandle? client)
        {
            return client != null && ReferenceEquals(Provider.Value?.Client, client);
        }

        internal static void EnterCallback()
        {
            callbacks++;
        }

        internal static void LeaveCallback()
        {
            callbacks--;
        }

        internal void End()
        {
            current = outer;
        }

        // Never collected, since native code may call them as long as the program runs.
        internal static readonly NativeMethods.ProgressFunction OnProgress = Progress;
        internal static readonly NativeMethods.TokenFunction OnToken = Token;
        internal static readonly NativeMethods.SignFunction OnSign = Sign;

        private static int Progress(IntPtr userData, IntPtr eventJson)
        {
            var frame = current;
            if (frame?.progress == null || frame.ProgressError != null)
            {
                return 1;
            }
            EnterCallback();
            try
            {
                frame.progress.Report(new ProgressEvent(Utf8.Read(eventJson)));
                return 0;
            }
            catch (Exception error)
            {
                Aborts.End(error);
                frame.ProgressError = error;
                return 1;
            }
            finally
            {
                LeaveCallback();
            }
        }

        private static int Token(IntPtr userData, IntPtr scope, IntPtr sink)
        {
            return Answer(cancellation => UserData.Target<TokenSource>(userData).Answer(Utf8.Read(scope), cancellation, sink));
        }

        private static int Sign(IntPtr userData, IntPtr algorithm, IntPtr data, ulong size, IntPtr sink)
        {
            return Answer(cancellation =>
            {
                var bytes = new byte[size];
                Marshal.Copy(data, bytes, 0, bytes.Length);
                return UserData.Target<SignatureSource>(userData).Answer(Utf8.Read(algorithm), bytes, cancellation, sink);
            });
        }

        private static int Answer(Func<CancellationToken, int> answer)
        {
            var frame = current;
            if (frame == null)
            {
                return 1;
            }
            EnterCallback();
            try
            {
                frame.TokenError = null;
                return answer(frame.cancellation);
            }
            catch (Exception error)
            {
                Aborts.End(error);
                frame.TokenError = error;
                return 1;
            }
            finally
            {
                LeaveCallback();
            }
        }
    }
}

using System;
using System.Runtime.ExceptionServices;
using System.Threading;

namespace Mde.Native
{
    /// <summary>
    /// One call into the library, on the thread that makes it. Callbacks come on that same thread and find it there.
    /// No exception may pass through native code: what a callback throws waits here until the call has returned.
    /// </summary>
    internal sealed class Frame
    {
        [ThreadStatic]
        private static Frame current;

        private readonly Frame outer;
        private readonly Action<ProgressEvent> progress;
        private bool inCallback;

        internal Frame(Action<ProgressEvent> progress, CancellationToken cancellation)
        {
            this.progress = progress;
            Cancellation = cancellation;
            outer = current;
            current = this;
        }

        /// <summary>The call that this thread is inside of, or null.</summary>
        internal static Frame Current => current;

        internal CancellationToken Cancellation { get; }

        internal ExceptionDispatchInfo ProgressError { get; private set; }

        internal ExceptionDispatchInfo TokenError { get; private set; }

        /// <summary>Whether this thread is inside a callback, of whichever call.</summary>
        internal static bool InCallback
        {
            get
            {
                for (var frame = current; frame != null; frame = frame.outer)
                {
                    if (frame.inCallback)
                    {
                        return true;
                    }
                }
                return false;
            }
        }

        internal void End()
        {
            current = outer;
        }

        // Kept for as long as the program lives, so that native code never calls into a collected delegate.
        internal static readonly NativeMethods.ProgressFunction OnProgress = Progress;
        internal static readonly NativeMethods.TokenFunction OnToken = Token;

        private static int Progress(IntPtr userData, IntPtr eventJson)
        {
            var frame = current;
            if (frame == null || frame.ProgressError != null)
            {
                return 1;
            }
            try
            {
                frame.inCallback = true;
                frame.progress(ProgressEvent.Parse(Utf8.Read(eventJson)));
                return 0;
            }
            catch (Exception error)
            {
                frame.ProgressError = ExceptionDispatchInfo.Capture(error);
                return 1;
            }
            finally
            {
                frame.inCallback = false;
            }
        }

        private static int Token(IntPtr userData, IntPtr scope, IntPtr sink)
        {
            var frame = current;
            if (frame == null)
            {
                return 1;
            }
            try
            {
                frame.inCallback = true;
                frame.TokenError = null;
                return TokenSource.Of(userData).Answer(Utf8.Read(scope), frame.Cancellation, sink);
            }
            catch (Exception error)
            {
                frame.TokenError = ExceptionDispatchInfo.Capture(error);
                return 1;
            }
            finally
            {
                frame.inCallback = false;
            }
        }
    }
}

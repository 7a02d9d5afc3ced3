using System;
using System.Threading;
using Mde.Native;

namespace Mde
{
    /// <summary>How much is logged.</summary>
    public enum MdeLogLevel
    {
        /// <summary>Nothing.</summary>
        Off = 0,

        /// <summary>What went wrong.</summary>
        Error = 1,

        /// <summary>And what may go wrong.</summary>
        Warn = 2,

        /// <summary>And what was done.</summary>
        Info = 3,

        /// <summary>And every request.</summary>
        Debug = 4,
    }

    /// <summary>The library's log lines, for the whole process. There are no secrets in them.</summary>
    public static class MdeLog
    {
        // Kept for as long as the program lives, so that native code never calls into a collected delegate.
        private static readonly NativeMethods.LogFunction OnLine = Line;

        // How many of its lines this thread is inside of. A number, since a receiver that is called again within its
        // own call is still in the outer one when the inner has returned.
        [ThreadStatic]
        private static int lines;

        /// <summary>
        /// Sends lines up to a level to a receiver, which may be called from several threads at once. What it throws
        /// is dropped: a log must not fail a collection. Like every callback it may use clients, but not shut one down.
        /// Where this throws, the receiver before stays.
        /// </summary>
        /// <param name="level">The level.</param>
        /// <param name="receiver">The receiver, or null for none.</param>
        /// <exception cref="ArgumentOutOfRangeException">There is no such level.</exception>
        /// <exception cref="InvalidOperationException">It is a receiver that calls this.</exception>
        public static void Set(MdeLogLevel level, Action<MdeLogLevel, string> receiver)
        {
            MdeLibrary.Load();
            if (lines > 0)
            {
                throw new InvalidOperationException("A receiver of log lines must not set another one.");
            }
            var status = receiver == null
                ? NativeMethods.mde_log_set(null, IntPtr.Zero, null, (int)level)
                : UserData.Give(receiver, (userData, free) => NativeMethods.mde_log_set(OnLine, userData, free, (int)level));
            if (status == (int)MdeStatus.InvalidArgument)
            {
                throw new ArgumentOutOfRangeException(nameof(level), level, "The level must be one of Off to Debug.");
            }
            if (status != (int)MdeStatus.Ok)
            {
                throw Operation.Failure(status, null, CancellationToken.None);
            }
        }

        private static void Line(IntPtr userData, int level, IntPtr message)
        {
            Frame.EnterCallback();
            lines++;
            try
            {
                UserData.Target<Action<MdeLogLevel, string>>(userData)((MdeLogLevel)level, Utf8.Read(message));
            }
            catch (Exception)
            {
                // No exception may pass through native code, and there is no caller to tell.
            }
            finally
            {
                lines--;
                Frame.LeaveCallback();
            }
        }
    }
}

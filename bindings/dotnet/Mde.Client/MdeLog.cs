using System;
using Mde.Native;

namespace Mde
{
    /// <summary>How much is logged.</summary>
    public enum MdeLogLevel
    {
        /// <summary>Nothing.</summary>
        Off = 0,

        /// <summary>Failures.</summary>
        Error = 1,

        /// <summary>And possible causes of failures.</summary>
        Warn = 2,

        /// <summary>And each operation.</summary>
        Info = 3,

        /// <summary>And every request.</summary>
        Debug = 4,
    }

    /// <summary>The library's log lines, for the whole process. They contain no secrets.</summary>
    public static class MdeLog
    {
        // Never collected, since native code may call it as long as the program runs.
        private static readonly NativeMethods.LogFunction OnLine = Line;

        // The number of receivers that this thread is in. One that uses the library may receive a line meanwhile.
        [ThreadStatic]
        private static int lines;

        /// <summary>
        /// Sends lines up to a level to a receiver, which several threads may call at once. Its exceptions are ignored,
        /// since a log must not fail a collection. Like every callback it may use clients, but not shut one down.
        /// If this throws, the previous receiver stays.
        /// </summary>
        /// <param name="level">The level.</param>
        /// <param name="receiver">The receiver, or null for none.</param>
        /// <exception cref="ArgumentOutOfRangeException">There is no such level.</exception>
        /// <exception cref="InvalidOperationException">A receiver of log lines called this.</exception>
        public static void Set(MdeLogLevel level, Action<MdeLogLevel, string>? receiver)
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
                throw Failure.Of(status, null);
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
            catch (Exception error)
            {
                // No exception may pass through native code, and no caller could receive it.
                Aborts.End(error);
            }
            finally
            {
                lines--;
                Frame.LeaveCallback();
            }
        }
    }
}

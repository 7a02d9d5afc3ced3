using System;
using System.Runtime.InteropServices;

namespace Mde.Native
{
    /// <summary>
    /// What a callback that the library keeps gets back with each call. The library frees it when no call can come any more.
    /// </summary>
    internal static class UserData
    {
        // Kept for as long as the program lives, so that native code never calls into a collected delegate.
        private static readonly NativeMethods.FreeFunction OnFree = Free;

        /// <summary>Sets a callback with this target. Where that fails the target is let go at once.</summary>
        /// <returns>The status of the native function.</returns>
        internal static int Give(object target, Func<IntPtr, NativeMethods.FreeFunction, int> set)
        {
            var userData = GCHandle.ToIntPtr(GCHandle.Alloc(target));
            var status = (int)MdeStatus.Internal;
            try
            {
                status = set(userData, OnFree);
                return status;
            }
            finally
            {
                if (status != (int)MdeStatus.Ok)
                {
                    Free(userData);
                }
            }
        }

        internal static T Target<T>(IntPtr userData) where T : class
        {
            return (T)GCHandle.FromIntPtr(userData).Target;
        }

        private static void Free(IntPtr userData)
        {
            GCHandle.FromIntPtr(userData).Free();
        }
    }
}

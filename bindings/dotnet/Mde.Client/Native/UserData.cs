using System;
using System.Runtime.InteropServices;

namespace Mde.Native
{
    /// <summary>
    /// The user data of a callback that the library keeps. The library frees it when it will not call again.
    /// </summary>
    internal static class UserData
    {
        // Never collected, since native code may call it as long as the program runs.
        private static readonly NativeMethods.FreeFunction OnFree = Free;

        /// <summary>Sets a callback with this target. If that fails, the target is released at once.</summary>
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
            return GCHandle.FromIntPtr(userData).Target as T ?? throw new InvalidOperationException("The callback is gone.");
        }

        private static void Free(IntPtr userData)
        {
            GCHandle.FromIntPtr(userData).Free();
        }
    }
}

#nullable enable
using System;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Mde
{
    public static partial class MdeLibrary
    {
        private static bool prepared;

        // Where only the library itself is installed, without what compilers need, it has its SONAME alone.
        private static readonly string[] OtherNames =
            OperatingSystem.IsWindows() ? Array.Empty<string>() : new[] { "libmde.so.0" };

        static partial void PrepareLoading()
        {
            if (prepared)
            {
                return;
            }
            prepared = true;
            try
            {
                NativeLibrary.SetDllImportResolver(typeof(MdeLibrary).Assembly, Resolve);
            }
            catch (InvalidOperationException)
            {
                // There can be one only. A program that set its own before keeps that.
            }
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search)
        {
            if (name != Native.NativeMethods.Library)
            {
                return IntPtr.Zero;
            }
            // First as without a resolver: runtimes/<rid>/native of the package, beside the assembly, the system.
            if (NativeLibrary.TryLoad(name, assembly, search, out var library))
            {
                return library;
            }
            foreach (var other in OtherNames)
            {
                if (NativeLibrary.TryLoad(other, assembly, search, out library))
                {
                    return library;
                }
            }
            // The runtime then says in its own words where it has looked.
            return IntPtr.Zero;
        }
    }
}

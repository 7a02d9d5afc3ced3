using System;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Mde
{
    public static partial class MdeLibrary
    {
        private static bool prepared;

        // PowerShell searches the folder of a module for the whole name. An installed library without the link for
        // compilers has only its SONAME.
        private static readonly string[] OtherNames =
            OperatingSystem.IsWindows() ? Array.Empty<string>() : new[] { "libmde", "libmde.so.0" };

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
                // An assembly has only one resolver. If the program has set one, it stays.
            }
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search)
        {
            if (name != Native.NativeMethods.Library)
            {
                return IntPtr.Zero;
            }
            // The runtime's own search: runtimes/<rid>/native of the package, the assembly's folder, the system.
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
            // The runtime's exception then lists where it has searched.
            return IntPtr.Zero;
        }
    }
}

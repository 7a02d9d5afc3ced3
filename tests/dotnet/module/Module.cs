using System;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Mde;

namespace Mde.Tests
{
    /// <summary>
    /// Searches the native library as PowerShell does for its modules: in a folder for the system beside the assembly,
    /// under the name that is asked for and the ending of the system.
    /// </summary>
    internal static class Module
    {
        private static void Main()
        {
            AssemblyLoadContext.Default.ResolvingUnmanagedDll += InModule;
            Console.WriteLine(MdeLibrary.Version);
        }

        private static IntPtr InModule(Assembly assembly, string name)
        {
            var folder = Path.GetDirectoryName(assembly.Location) ?? "";
            return NativeLibrary.TryLoad(Path.Combine(folder, "linux-x64", name) + ".so", out var library) ? library : IntPtr.Zero;
        }
    }
}

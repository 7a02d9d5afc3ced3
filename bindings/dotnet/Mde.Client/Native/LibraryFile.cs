using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;

namespace Mde.Native
{
    /// <summary>Looks for what is wrong where the runtime could not load the native library.</summary>
    internal static class LibraryFile
    {
        private static readonly string[] Names = RuntimeInformation.IsOSPlatform(OSPlatform.Windows)
            ? new[] { "mde.dll" }
            : new[] { "libmde.so", "libmde.so.0" };

        /// <summary>
        /// A library that is for other processors than this process, beside the program, in the folders of its packages, or
        /// in <c>LD_LIBRARY_PATH</c>: its path, and for which. Nulls if there is none.
        /// </summary>
        internal static (string? File, Architecture? Kind) OfAnotherKind()
        {
            foreach (var folder in Folders())
            {
                foreach (var name in Names)
                {
                    var file = Path.Combine(folder, name);
                    var kind = KindOf(file);
                    if (kind != null && kind != RuntimeInformation.ProcessArchitecture)
                    {
                        return (file, kind);
                    }
                }
            }
            return (null, null);
        }

        private static IEnumerable<string> Folders()
        {
            yield return AppContext.BaseDirectory;
            // Where .NET has laid out runtimes/<rid>/native.
            var ofPackages = AppDomain.CurrentDomain.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string;
            var ofSystem = Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
            foreach (var list in new[] { ofPackages, ofSystem })
            {
                foreach (var folder in (list ?? "").Split(Path.PathSeparator))
                {
                    if (folder.Length > 0)
                    {
                        yield return folder;
                    }
                }
            }
        }

        private static Architecture? KindOf(string file)
        {
            byte[] head;
            try
            {
                using (var reader = new BinaryReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read)))
                {
                    head = reader.ReadBytes(4096);
                }
            }
            catch (Exception error) when (error is IOException || error is UnauthorizedAccessException || error is ArgumentException)
            {
                return null;
            }
            if (head.Length < 64)
            {
                return null;
            }
            var windows = head[0] == 'M' && head[1] == 'Z' ? Word(head, 0x3c) + 4 : 0;
            var machine = head[0] == 0x7f && head[1] == 'E' && head[2] == 'L' && head[3] == 'F' ? Word(head, 18)
                : windows > 4 && windows < head.Length - 2 ? Word(head, windows)
                : 0;
            switch (machine)
            {
                case 0x3e:
                case 0x8664:
                    return Architecture.X64;
                case 0xb7:
                case 0xaa64:
                    return Architecture.Arm64;
                case 0x03:
                case 0x14c:
                    return Architecture.X86;
                case 0x28:
                case 0x1c4:
                    return Architecture.Arm;
                default:
                    return null;
            }
        }

        private static int Word(byte[] bytes, int at)
        {
            return bytes[at] | bytes[at + 1] << 8;
        }
    }
}

using System;
using System.IO;
using System.Runtime.InteropServices;

namespace Mde.Native
{
    /// <summary>Looks for what is wrong where the runtime could not load the native library.</summary>
    internal static class LibraryFile
    {
        private static readonly string[] Names = { "mde.dll", "libmde.so", "libmde.so.0" };

        /// <summary>
        /// A library beside the program that is for other processors than this process: its path, and for which.
        /// Nulls if there is none.
        /// </summary>
        internal static (string? File, Architecture? Kind) OfAnotherKind()
        {
            foreach (var name in Names)
            {
                var file = Path.Combine(AppContext.BaseDirectory, name);
                var kind = KindOf(file);
                if (kind != null && kind != RuntimeInformation.ProcessArchitecture)
                {
                    return (file, kind);
                }
            }
            return (null, null);
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
            catch (Exception error) when (error is IOException || error is UnauthorizedAccessException)
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

using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Mde.Native
{
    /// <summary>
    /// Converts strings to and from UTF-8, which the marshaller of netstandard2.0 supports on some runtimes only.
    /// </summary>
    internal static class Utf8
    {
        // Half of a surrogate pair is an error. It must not become a question mark in a file name.
        private static readonly UTF8Encoding Strict = new UTF8Encoding(false, true);
        private static readonly UTF8Encoding Lenient = new UTF8Encoding(false, false);

        /// <summary>The text as UTF-8, ended by a NUL. Errors name the argument, never its value.</summary>
        internal static byte[] Bytes(string text, string argument)
        {
            if (text == null)
            {
                throw new ArgumentNullException(argument);
            }
            if (text.IndexOf('\0') >= 0)
            {
                throw new ArgumentException("The text holds U+0000, which the library cannot take.", argument);
            }
            byte[] bytes = null;
            try
            {
                bytes = new byte[Strict.GetByteCount(text) + 1];
                Strict.GetBytes(text, 0, text.Length, bytes, 0);
            }
            catch (EncoderFallbackException)
            {
                // The original exception quotes the text, so it is not the inner exception.
                bytes = null;
            }
            if (bytes == null)
            {
                throw new ArgumentException("The text is not valid Unicode: it holds half of a surrogate pair.", argument);
            }
            return bytes;
        }

        /// <summary>Reads the text at an address, which must not be zero.</summary>
        internal static string Read(IntPtr address)
        {
            var length = 0;
            while (Marshal.ReadByte(address, length) != 0)
            {
                length++;
            }
            if (length == 0)
            {
                return "";
            }
            var bytes = new byte[length];
            Marshal.Copy(address, bytes, 0, length);
            return Lenient.GetString(bytes);
        }
    }
}

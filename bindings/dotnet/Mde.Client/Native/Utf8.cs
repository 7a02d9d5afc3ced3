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
        internal static byte[] Bytes(string? text, string argument)
        {
            if (text == null)
            {
                throw new ArgumentNullException(argument);
            }
            foreach (var letter in text)
            {
                if (letter == '\0')
                {
                    throw new ArgumentException("The text holds U+0000, which the library cannot take.", argument);
                }
            }
            return Encoded(text)
                ?? throw new ArgumentException("The text is not valid Unicode: it holds half of a surrogate pair.", argument);
        }

        // Null instead of the exception, which quotes the text.
        private static byte[]? Encoded(string text)
        {
            try
            {
                var bytes = new byte[Strict.GetByteCount(text) + 1];
                Strict.GetBytes(text, 0, text.Length, bytes, 0);
                return bytes;
            }
            catch (EncoderFallbackException)
            {
                return null;
            }
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

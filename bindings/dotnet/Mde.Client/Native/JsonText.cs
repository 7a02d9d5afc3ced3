using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Mde.Native
{
    /// <summary>
    /// Reads the library's documents. .NET Standard has no JSON reader, and the package that has one would bring ten more
    /// assemblies into every program. Objects become dictionaries and arrays lists. Numbers stay text, so that none loses
    /// digits.
    /// </summary>
    internal sealed class JsonText
    {
        internal sealed class Number
        {
            internal readonly string Text;

            internal Number(string text)
            {
                Text = text;
            }
        }

        // The library's own members nest far less deep. The service's may nest deeper.
        private const int MaxDepth = 128;
        private readonly string text;
        private int at;

        private JsonText(string text)
        {
            this.text = text;
        }

        internal static object? Parse(string text)
        {
            var reader = new JsonText(text);
            var value = reader.Value(0);
            reader.Skip();
            return reader.at == text.Length ? value : throw reader.Bad();
        }

        private FormatException Bad()
        {
            return new FormatException("The document is not JSON at position " + at.ToString(CultureInfo.InvariantCulture) + ".");
        }

        private void Skip()
        {
            while (at < text.Length && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'))
            {
                at++;
            }
        }

        private bool Takes(char expected)
        {
            Skip();
            if (at < text.Length && text[at] == expected)
            {
                at++;
                return true;
            }
            return false;
        }

        private void Needs(char expected)
        {
            if (!Takes(expected))
            {
                throw Bad();
            }
        }

        private object? Value(int depth)
        {
            Skip();
            if (at >= text.Length || depth > MaxDepth)
            {
                throw Bad();
            }
            switch (text[at])
            {
                case '{':
                    return Members(depth);
                case '[':
                    return Elements(depth);
                case '"':
                    return Quoted();
                case 't':
                    return Word("true", true);
                case 'f':
                    return Word("false", false);
                case 'n':
                    return Word("null", null);
                default:
                    return Digits();
            }
        }

        private Dictionary<string, object?> Members(int depth)
        {
            var members = new Dictionary<string, object?>(StringComparer.Ordinal);
            at++;
            if (Takes('}'))
            {
                return members;
            }
            do
            {
                Skip();
                var name = Quoted();
                Needs(':');
                members[name] = Value(depth + 1);
            }
            while (Takes(','));
            Needs('}');
            return members;
        }

        private List<object?> Elements(int depth)
        {
            var elements = new List<object?>();
            at++;
            if (Takes(']'))
            {
                return elements;
            }
            do
            {
                elements.Add(Value(depth + 1));
            }
            while (Takes(','));
            Needs(']');
            return elements;
        }

        private object? Word(string word, object? value)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0)
            {
                throw Bad();
            }
            at += word.Length;
            return value;
        }

        private Number Digits()
        {
            var from = at;
            while (at < text.Length && IsOfNumber(text[at]))
            {
                at++;
            }
            return at > from ? new Number(text.Substring(from, at - from)) : throw Bad();
        }

        private static bool IsOfNumber(char it)
        {
            return it >= '0' && it <= '9' || it == '+' || it == '-' || it == '.' || it == 'e' || it == 'E';
        }

        private string Quoted()
        {
            if (at >= text.Length || text[at] != '"')
            {
                throw Bad();
            }
            var from = ++at;
            while (at < text.Length && text[at] != '"' && text[at] != '\\')
            {
                at++;
            }
            if (at < text.Length && text[at] == '"')
            {
                return text.Substring(from, at++ - from);
            }
            var result = new StringBuilder(text, from, at - from, 0);
            while (at < text.Length)
            {
                var next = text[at++];
                if (next == '"')
                {
                    return result.ToString();
                }
                result.Append(next == '\\' ? Escaped() : next);
            }
            throw Bad();
        }

        private char Escaped()
        {
            if (at >= text.Length)
            {
                throw Bad();
            }
            var next = text[at++];
            switch (next)
            {
                case 'b':
                    return '\b';
                case 'f':
                    return '\f';
                case 'n':
                    return '\n';
                case 'r':
                    return '\r';
                case 't':
                    return '\t';
                case '"':
                case '\\':
                case '/':
                    return next;
                case 'u':
                    return Code();
                default:
                    throw Bad();
            }
        }

        // Four hexadecimal digits.
        private char Code()
        {
            var code = 0;
            for (var n = 0; n < 4; n++)
            {
                var digit = at < text.Length ? "0123456789abcdef".IndexOf(char.ToLowerInvariant(text[at])) : -1;
                if (digit < 0)
                {
                    throw Bad();
                }
                code = code * 16 + digit;
                at++;
            }
            return (char)code;
        }
    }
}

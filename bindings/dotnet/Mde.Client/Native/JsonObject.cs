using System;
using System.Collections.Generic;
using System.Globalization;

namespace Mde.Native
{
    /// <summary>
    /// Reads the members of an object. One that is missing, null or of an unexpected type is null, so that it does not
    /// cost the whole result; only what a result is nothing without is required.
    /// </summary>
    internal sealed class JsonObject
    {
        private readonly Dictionary<string, object?> members;

        private JsonObject(Dictionary<string, object?> members)
        {
            this.members = members;
        }

        /// <exception cref="FormatException">The text is not JSON, or no object.</exception>
        internal static JsonObject Parse(string json)
        {
            var value = JsonText.Parse(json ?? throw new ArgumentNullException(nameof(json)));
            return new JsonObject(value as Dictionary<string, object?>
                ?? throw new FormatException("The document is not a JSON object."));
        }

        internal static FormatException Lacks(string name)
        {
            return new FormatException("The document lacks `" + name + "`, or it is of another type.");
        }

        /// <summary>"1 device", "2 devices".</summary>
        internal static string Count(int count, string what)
        {
            return count.ToString(CultureInfo.InvariantCulture) + " " + what + (count == 1 ? "" : "s");
        }

        internal bool Has(string name)
        {
            return Member(name) != null;
        }

        /// <summary>A string; also that of a number, since the service writes some values in both ways.</summary>
        internal string? Text(string name)
        {
            var value = Member(name);
            return value as string ?? (value as JsonText.Number)?.Text;
        }

        internal string Required(string name)
        {
            return Text(name) ?? throw Lacks(name);
        }

        internal bool Flag(string name)
        {
            return Member(name) is bool flag && flag;
        }

        internal int? Int32(string name)
        {
            return int.TryParse(Text(name), NumberStyles.Integer, CultureInfo.InvariantCulture, out var number)
                ? number
                : (int?)null;
        }

        internal long? Int64(string name)
        {
            return long.TryParse(Text(name), NumberStyles.Integer, CultureInfo.InvariantCulture, out var number)
                ? number
                : (long?)null;
        }

        internal long RequiredInt64(string name)
        {
            return Int64(name) ?? throw Lacks(name);
        }

        internal TimeSpan? Milliseconds(string name)
        {
            var number = Int64(name);
            // The largest would not fit.
            return number == null
                ? (TimeSpan?)null
                : number < TimeSpan.MaxValue.Ticks / TimeSpan.TicksPerMillisecond
                    ? TimeSpan.FromTicks(number.Value * TimeSpan.TicksPerMillisecond)
                    : TimeSpan.MaxValue;
        }

        internal TimeSpan? Seconds(string name)
        {
            const double Most = 1e11;
            return double.TryParse(Text(name), NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                && number >= 0 && number < Most
                    ? TimeSpan.FromSeconds(number)
                    : (TimeSpan?)null;
        }

        internal DateTimeOffset? Time(string name)
        {
            return DateTimeOffset.TryParse(
                Text(name), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
                    ? time
                    : (DateTimeOffset?)null;
        }

        /// <summary>A time without a zone.</summary>
        internal DateTime? LocalTime(string name)
        {
            return DateTime.TryParse(Text(name), CultureInfo.InvariantCulture, DateTimeStyles.None, out var time)
                ? DateTime.SpecifyKind(time, DateTimeKind.Unspecified)
                : (DateTime?)null;
        }

        internal Uri RequiredUri(string name)
        {
            // On Unix a path is an absolute URI as well.
            return Uri.TryCreate(Text(name), UriKind.Absolute, out var uri) && uri != null
                && (uri.Scheme == "https" || uri.Scheme == "http")
                    ? uri
                    : throw Lacks(name);
        }

        internal JsonObject? Object(string name)
        {
            return Member(name) is Dictionary<string, object?> inner ? new JsonObject(inner) : null;
        }

        internal JsonObject RequiredObject(string name)
        {
            return Object(name) ?? throw Lacks(name);
        }

        internal IReadOnlyList<string> Texts(string name)
        {
            return List(name, it => it as string);
        }

        internal IReadOnlyList<T> Objects<T>(string name, Func<JsonObject, T> read) where T : class
        {
            return List(name, it => it is Dictionary<string, object?> inner ? read(new JsonObject(inner)) : null);
        }

        private object? Member(string name)
        {
            return members.TryGetValue(name, out var value) ? value : null;
        }

        private IReadOnlyList<T> List<T>(string name, Func<object?, T?> read) where T : class
        {
            if (!(Member(name) is List<object?> elements))
            {
                return Array.Empty<T>();
            }
            var list = new List<T>(elements.Count);
            foreach (var element in elements)
            {
                var value = read(element);
                if (value != null)
                {
                    list.Add(value);
                }
            }
            return list.AsReadOnly();
        }
    }
}

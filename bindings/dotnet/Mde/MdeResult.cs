using System;
using System.Globalization;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>The base of all results. It has the whole document, also the members that these classes lack.</summary>
    public abstract class MdeResult
    {
        /// <summary>
        /// The library's document. <see cref="MdeJson.Get"/> or any JSON library reads single values of it.
        /// </summary>
        [JsonIgnore]
        public string Json { get; internal set; }
    }

    internal static class Times
    {
        internal static DateTimeOffset? Parse(string text)
        {
            DateTimeOffset time;
            return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time)
                ? time
                : (DateTimeOffset?)null;
        }

        internal static TimeSpan? Milliseconds(long? value)
        {
            return value == null ? (TimeSpan?)null : TimeSpan.FromMilliseconds(value.Value);
        }
    }
}

using System;
using System.Globalization;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>What every result has: the whole document, with all that the classes here have no name for.</summary>
    public abstract class MdeResult
    {
        /// <summary>
        /// The library's document. <see cref="MdeJson.Get"/> reads single values out of it, as does any JSON library.
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

#nullable enable
using System;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Mde.Native
{
    /// <summary>Fills the classes of results, with code that the compiler generated from their attributes.</summary>
    internal static class Documents
    {
        internal static T Read<T>(string json) where T : class
        {
            return (T?)JsonSerializer.Deserialize(json, typeof(T), MdeJsonContext.Default)
                ?? throw new JsonException("The document is null.");
        }
    }

    /// <summary>
    /// A string, or the JSON text of any other value, so that an unexpected type does not cost the whole result.
    /// </summary>
    internal sealed class LenientString : JsonConverter<string>
    {
        public override string? Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
        {
            if (reader.TokenType == JsonTokenType.String)
            {
                return reader.GetString();
            }
            using (var value = JsonDocument.ParseValue(ref reader))
            {
                return value.RootElement.GetRawText();
            }
        }

        public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options)
        {
            writer.WriteStringValue(value);
        }
    }
}

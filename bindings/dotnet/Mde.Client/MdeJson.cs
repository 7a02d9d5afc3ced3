using Mde.Native;

namespace Mde
{
    /// <summary>Reads single values of documents, with the library's own reader.</summary>
    public static class MdeJson
    {
        /// <summary>
        /// Returns the text of a string, the JSON text of any other value, and null for the JSON null or no value.
        /// </summary>
        /// <param name="json">A document.</param>
        /// <param name="jsonPointer">A JSON pointer (RFC 6901), for example "/action/id".</param>
        /// <exception cref="MdeException">InvalidArgument: the document or the pointer is malformed.</exception>
        public static string? Get(string json, string jsonPointer)
        {
            var document = Utf8.Bytes(json, nameof(json));
            var where = Utf8.Bytes(jsonPointer, nameof(jsonPointer));
            MdeLibrary.Load();
            StringHandle? value = null;
            try
            {
                var status = NativeMethods.mde_json_get(document, where, out value);
                if (status == (int)MdeStatus.Ok || status == (int)MdeStatus.NotFound)
                {
                    return value.Text();
                }
                throw new MdeException(
                    (MdeStatus)status, "The document is not JSON, or the pointer is none: it is empty or begins with a slash.");
            }
            finally
            {
                value?.Dispose();
            }
        }
    }
}

using Mde.Native;

namespace Mde
{
    /// <summary>The base of all results. It has the whole document, also the members that these classes lack.</summary>
    /// <remarks>
    /// A program that keeps a result keeps <see cref="Json"/>. The constructor of each class reads it again, and makes
    /// results for the tests of a program.
    /// </remarks>
    public abstract class MdeResult
    {
        private protected MdeResult(string json, out JsonObject document)
        {
            document = JsonObject.Parse(json);
            Json = json;
        }

        private protected MdeResult(string json)
        {
            Json = json;
        }

        /// <summary>
        /// The library's document. <see cref="MdeJson.Get"/> or any JSON library reads single values of it.
        /// </summary>
        public string Json { get; }
    }
}

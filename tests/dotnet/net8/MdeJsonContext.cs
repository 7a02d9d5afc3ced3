using System;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Mde.Native
{
    /// <summary>
    /// Takes the place of the class that the source generator completes, where there is no generator: the same
    /// attributes and converters, read by reflection.
    /// </summary>
    internal sealed class MdeJsonContext : JsonSerializerContext
    {
        private static readonly IJsonTypeInfoResolver Resolver = new DefaultJsonTypeInfoResolver();

        private MdeJsonContext(JsonSerializerOptions options) : base(options)
        {
        }

        internal static MdeJsonContext Default { get; } =
            new MdeJsonContext(new JsonSerializerOptions { Converters = { new LenientString() } });

        protected override JsonSerializerOptions GeneratedSerializerOptions => null;

        public override JsonTypeInfo GetTypeInfo(Type type) => Resolver.GetTypeInfo(type, Options);
    }
}

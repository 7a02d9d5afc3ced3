#nullable enable
using System.Text.Json.Serialization;

namespace Mde.Native
{
    /// <summary>What System.Text.Json is to generate code for: no reflection, so trimming and native AOT work.</summary>
    [JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata, Converters = new[] { typeof(LenientString) })]
    [JsonSerializable(typeof(ActionResult))]
    [JsonSerializable(typeof(ActionsResult))]
    [JsonSerializable(typeof(CancelResult))]
    [JsonSerializable(typeof(CollectResult))]
    [JsonSerializable(typeof(ErrorDocument))]
    [JsonSerializable(typeof(FetchResult))]
    [JsonSerializable(typeof(MachinesResult))]
    [JsonSerializable(typeof(PackageResult))]
    [JsonSerializable(typeof(ProgressEvent))]
    [JsonSerializable(typeof(QuotaResult))]
    [JsonSerializable(typeof(UriResult))]
    internal sealed partial class MdeJsonContext : JsonSerializerContext
    {
    }
}

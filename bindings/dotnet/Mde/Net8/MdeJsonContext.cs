#nullable enable
using System.Text.Json.Serialization;

namespace Mde.Native
{
    /// <summary>Lets System.Text.Json generate code for these classes. Without reflection, trimming and native AOT work.</summary>
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

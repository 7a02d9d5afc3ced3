using System.Collections.Generic;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>A package on disk. Every file in it was compared with its checksum.</summary>
    public sealed class Package
    {
        /// <summary>The path of the file.</summary>
        [JsonPropertyName("path")]
        public string Path { get; set; }

        /// <summary>Length of the file.</summary>
        [JsonPropertyName("bytes")]
        public long Bytes { get; set; }

        /// <summary>SHA-256 of the file, in lower case.</summary>
        [JsonPropertyName("sha256")]
        public string Sha256 { get; set; }

        /// <summary>The action that collected it; null from <see cref="MdeLibrary.InspectPackage"/>.</summary>
        [JsonPropertyName("action_id")]
        public string ActionId { get; set; }

        /// <summary>The device it is from; null if that is not known.</summary>
        [JsonPropertyName("machine_id")]
        public string MachineId { get; set; }

        /// <summary>That device's name; null if it is not known.</summary>
        [JsonPropertyName("computer_name")]
        public string ComputerName { get; set; }

        /// <summary>Whether an earlier call had downloaded it. This call then read it again and found it unchanged.</summary>
        [JsonPropertyName("existing")]
        public bool Existing { get; set; }

        /// <summary>The number of files and folders in it.</summary>
        [JsonPropertyName("entries")]
        public int Entries { get; set; }

        /// <summary>Length of all files when unpacked.</summary>
        [JsonPropertyName("bytes_uncompressed")]
        public long BytesUncompressed { get; set; }

        /// <summary>"windows", "macos" or "linux"; null if it does not look like an investigation package.</summary>
        [JsonPropertyName("device")]
        public string Device { get; set; }

        /// <summary>Documented folders and files of such packages that this one lacks.</summary>
        [JsonPropertyName("missing")]
        public IReadOnlyList<string> Missing { get; set; } = new string[0];

        /// <summary>Bytes of the file that belong to no entry.</summary>
        [JsonPropertyName("bytes_unlisted")]
        public long BytesUnlisted { get; set; }

        /// <summary>The number of names that differ from another only in upper and lower case.</summary>
        [JsonPropertyName("same_but_for_case")]
        public int SameButForCase { get; set; }

        /// <summary>One per entry, from <see cref="MdeLibrary.InspectPackage"/>; empty otherwise.</summary>
        [JsonPropertyName("files")]
        public IReadOnlyList<PackageFile> Files { get; set; } = new PackageFile[0];
    }

    /// <summary>An entry of a package.</summary>
    public sealed class PackageFile
    {
        /// <summary>Path inside the package; that of a folder ends in a slash.</summary>
        [JsonPropertyName("name")]
        public string Name { get; set; }

        /// <summary>Length when unpacked.</summary>
        [JsonPropertyName("bytes")]
        public long Bytes { get; set; }

        /// <summary>Length when packed.</summary>
        [JsonPropertyName("compressed")]
        public long Compressed { get; set; }

        /// <summary>Its CRC-32, eight hexadecimal digits.</summary>
        [JsonPropertyName("crc32")]
        public string Crc32 { get; set; }

        /// <summary>Local time of the device when it last changed, without a time zone; null if the package does not give it.</summary>
        [JsonPropertyName("modified")]
        public string Modified { get; set; }
    }

    /// <summary>The result of <see cref="MdeClient.DownloadPackage"/> and <see cref="MdeLibrary.InspectPackage"/>.</summary>
    public sealed class PackageResult : MdeResult
    {
        /// <summary>The package.</summary>
        [JsonPropertyName("package")]
        public Package Package { get; set; }
    }

    /// <summary>The result of <see cref="MdeClient.FetchPackage"/>.</summary>
    public sealed class FetchResult : MdeResult
    {
        /// <summary>The package.</summary>
        [JsonPropertyName("package")]
        public Package Package { get; set; }

        /// <summary>The action.</summary>
        [JsonPropertyName("action")]
        public MachineAction Action { get; set; }

        /// <summary>This call did not start the collection: one was running already, or an earlier call had started it.</summary>
        [JsonPropertyName("adopted")]
        public bool Adopted { get; set; }
    }

    /// <summary>The result of <see cref="MdeClient.GetPackageUri"/>.</summary>
    public sealed class UriResult : MdeResult
    {
        /// <summary>The link, to be used unchanged. It is a secret: it gives access to the package.</summary>
        [JsonPropertyName("uri")]
        public string Uri { get; set; }
    }
}

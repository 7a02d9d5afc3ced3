using System;
using System.Collections.Generic;
using System.Globalization;
using Mde.Native;

namespace Mde
{
    /// <summary>
    /// A package on disk. Every file in it was compared with its checksum, but for those whose content was not checked:
    /// the reasons in <see cref="UnsafeEntries"/> say so. That of <see cref="MdeError.Package"/> may be damaged, and then
    /// has no contents.
    /// </summary>
    public sealed class InvestigationPackage
    {
        internal InvestigationPackage(JsonObject package)
        {
            Path = package.Required("path");
            Bytes = package.RequiredInt64("bytes");
            Sha256 = package.Required("sha256");
            ActionId = package.Text("action_id");
            MachineId = package.Text("machine_id");
            ComputerName = package.Text("computer_name");
            IsExisting = package.Flag("existing");
            Entries = package.Int32("entries") ?? 0;
            BytesUncompressed = package.Int64("bytes_uncompressed") ?? 0;
            Device = package.Text("device");
            Missing = package.Texts("missing");
            BytesUnlisted = package.Int64("bytes_unlisted") ?? 0;
            SameButForCase = package.Int32("same_but_for_case") ?? 0;
            UnsafeCount = package.Int32("unsafe_count") ?? 0;
            UnsafeEntries = package.Objects("unsafe_entries", it => new UnsafeEntry(it));
            Files = package.Objects("files", it => new PackageFile(it));
        }

        /// <summary>The path of the file.</summary>
        public string Path { get; }

        /// <summary>Length of the file.</summary>
        public long Bytes { get; }

        /// <summary>SHA-256 of the file, in lower case.</summary>
        public string Sha256 { get; }

        /// <summary>The action that collected it; null from <see cref="MdeLibrary.InspectPackage"/>.</summary>
        public string? ActionId { get; }

        /// <summary>The device it is from; null if that is not known.</summary>
        public string? MachineId { get; }

        /// <summary>That device's name; null if it is not known.</summary>
        public string? ComputerName { get; }

        /// <summary>Whether an earlier call had downloaded it. This call then read it again and found it unchanged.</summary>
        public bool IsExisting { get; }

        /// <summary>The number of files and folders in it.</summary>
        public int Entries { get; }

        /// <summary>Length of all files when unpacked.</summary>
        public long BytesUncompressed { get; }

        /// <summary>"windows", "macos" or "linux"; null if it does not look like an investigation package.</summary>
        public string? Device { get; }

        /// <summary>Documented folders and files of such packages that this one lacks.</summary>
        public IReadOnlyList<string> Missing { get; }

        /// <summary>Bytes of the file that belong to no entry.</summary>
        public long BytesUnlisted { get; }

        /// <summary>
        /// The number of names that Windows or macOS take for another one, since they differ only in upper and lower case,
        /// or in dots and blanks at the end.
        /// </summary>
        public int SameButForCase { get; }

        /// <summary>The number of entries that could do harm where they are unpacked.</summary>
        public int UnsafeCount { get; }

        /// <summary>The first of these entries, at most 100.</summary>
        public IReadOnlyList<UnsafeEntry> UnsafeEntries { get; }

        /// <summary>One per entry, from <see cref="MdeLibrary.InspectPackage"/>; empty otherwise.</summary>
        public IReadOnlyList<PackageFile> Files { get; }

        /// <summary>The path and the length.</summary>
        public override string ToString()
        {
            return "package " + Path + ", " + Bytes.ToString(CultureInfo.InvariantCulture) + " bytes";
        }
    }

    /// <summary>An entry that could do harm where it is unpacked.</summary>
    public sealed class UnsafeEntry
    {
        internal UnsafeEntry(JsonObject entry)
        {
            Name = entry.Required("name");
            Reason = entry.Required("reason");
        }

        /// <summary>Path inside the package.</summary>
        public string Name { get; }

        /// <summary>The problem, in English, to follow the name.</summary>
        public string Reason { get; }

        /// <summary>The name and the problem.</summary>
        public override string ToString()
        {
            return Name + " " + Reason;
        }
    }

    /// <summary>An entry of a package.</summary>
    public sealed class PackageFile
    {
        internal PackageFile(JsonObject file)
        {
            Name = file.Required("name");
            Bytes = file.RequiredInt64("bytes");
            Compressed = file.Int64("compressed") ?? 0;
            Crc32 = file.Required("crc32");
            Modified = file.LocalTime("modified");
        }

        /// <summary>Path inside the package; that of a folder ends in a slash.</summary>
        public string Name { get; }

        /// <summary>Length when unpacked.</summary>
        public long Bytes { get; }

        /// <summary>Length when packed.</summary>
        public long Compressed { get; }

        /// <summary>Its CRC-32, eight hexadecimal digits.</summary>
        public string Crc32 { get; }

        /// <summary>
        /// When it last changed, in the device's local time, whose time zone is not known; null if the package does not
        /// give it.
        /// </summary>
        public DateTime? Modified { get; }

        /// <summary>The name and the length.</summary>
        public override string ToString()
        {
            return Name + ", " + Bytes.ToString(CultureInfo.InvariantCulture) + " bytes";
        }
    }

    /// <summary>
    /// The result of <see cref="MdeClient.DownloadPackage"/> and <see cref="MdeLibrary.InspectPackage"/>.
    /// </summary>
    public sealed class PackageResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"package":{"path":"…","bytes":22,"sha256":"…"}}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public PackageResult(string json) : base(json, out var document)
        {
            Package = new InvestigationPackage(document.RequiredObject("package"));
        }

        /// <summary>The package.</summary>
        public InvestigationPackage Package { get; }

        /// <summary>The package.</summary>
        public override string ToString()
        {
            return Package.ToString();
        }
    }

    /// <summary>The result of <see cref="MdeClient.FetchPackage"/>.</summary>
    public sealed class FetchResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"package":{"path":"…","bytes":22,"sha256":"…"},"action":{"id":"…"},"adopted":false}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public FetchResult(string json) : base(json, out var document)
        {
            Package = new InvestigationPackage(document.RequiredObject("package"));
            Action = new MachineAction(document.RequiredObject("action"));
            IsAdopted = document.Flag("adopted");
        }

        /// <summary>The package.</summary>
        public InvestigationPackage Package { get; }

        /// <summary>The action.</summary>
        public MachineAction Action { get; }

        /// <summary>
        /// This call did not start the collection: one was running already, or an earlier call had started it.
        /// </summary>
        public bool IsAdopted { get; }

        /// <summary>The package and the action.</summary>
        public override string ToString()
        {
            return Package + ", of " + Action;
        }
    }

    /// <summary>The result of <see cref="MdeClient.GetPackageUri"/>.</summary>
    public sealed class PackageUriResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"uri":"https://…"}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public PackageUriResult(string json) : base(json, out var document)
        {
            Uri = document.RequiredUri("uri");
        }

        /// <summary>
        /// The link, to be used unchanged: <see cref="System.Uri.OriginalString"/>. It is a secret: it gives access to
        /// the package.
        /// </summary>
        public Uri Uri { get; }

        /// <summary>The host of the link, without its secret.</summary>
        public override string ToString()
        {
            return "link of " + Uri.Host;
        }
    }
}

using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using System.Threading;
using Mde;

namespace Mde.Tests
{
    /// <summary>What needs no service.</summary>
    internal static class Basics
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["statuses_are_those_of_the_header"] = Statuses;
            checks["the_assembly_is_signed_and_looks_beside_itself"] = Identity;
            checks["bad_text_is_named"] = BadText;
            checks["text_survives"] = Text;
            checks["options_explain_themselves"] = OptionsExplain;
            checks["documents_are_read"] = Documents;
        }

        private static void Statuses()
        {
            var header = File.ReadAllText(Check.Setting("HEADER"));
            var known = new Dictionary<string, int>();
            foreach (Match it in Regex.Matches(header, @"#define MDE_(OK|ERR_\w+) (\d+)"))
            {
                known[it.Groups[1].Value] = int.Parse(it.Groups[2].Value);
            }
            var found = new Dictionary<string, int>();
            foreach (MdeStatus status in Enum.GetValues(typeof(MdeStatus)))
            {
                var name = Regex.Replace(status.ToString(), "(?<=[a-z])(?=[A-Z])", "_").ToUpperInvariant();
                found[status == MdeStatus.Ok ? "OK" : "ERR_" + name] = (int)status;
            }
            foreach (var it in known)
            {
                Check.True(found.ContainsKey(it.Key) && found[it.Key] == it.Value, it.Key + " is " + it.Value);
            }
            Check.Equal(known.Count, found.Count);
            Check.True(known.Count > 30, "the header was read");
            Check.Equal("rate_limited", MdeLibrary.GetStatusName(MdeStatus.RateLimited));
            Check.Equal("unknown", MdeLibrary.GetStatusName((MdeStatus)12345));
            Check.Equal("12345", ((MdeStatus)12345).ToString());
            Check.Has(header, "#define MDE_HEADER_ABI_VERSION " + MdeLibrary.AbiVersion + "\n");
            foreach (MdeLogLevel level in Enum.GetValues(typeof(MdeLogLevel)))
            {
                Check.Has(header, "#define MDE_LOG_" + level.ToString().ToUpperInvariant() + " " + (int)level + "\n");
            }
        }

        private static void Identity()
        {
            var assembly = typeof(MdeClient).Assembly;
            Check.Equal("Mde.Client", assembly.GetName().Name);
            Check.Equal(8, assembly.GetName().GetPublicKeyToken()?.Length);
            var search = (DefaultDllImportSearchPathsAttribute?)Attribute.GetCustomAttribute(
                assembly, typeof(DefaultDllImportSearchPathsAttribute));
            Check.Equal(DllImportSearchPath.AssemblyDirectory | DllImportSearchPath.SafeDirectories, search?.Paths);
        }

        private static void BadText()
        {
            using (var client = Check.Client())
            {
                // What is handed over on purpose although the compiler refuses it has an exclamation mark.
                Action<string, Action<string>> refused = (name, call) =>
                {
                    Check.Equal(name, Check.Throws<ArgumentNullException>(() => call(null!)).ParamName);
                    foreach (var bad in new[] { "canary\0", "canary\ud800", "\udc00canary" })
                    {
                        var e = Check.Throws<ArgumentException>(() => call(bad));
                        Check.Equal(name, e.ParamName);
                        Check.True(!e.ToString().Contains("canary"), "no value in " + e);
                    }
                };
                refused("machineId", it => client.CollectPackage(it, "why"));
                refused("comment", it => client.CollectPackage("m", it));
                refused("machineId", it => client.FetchPackage(it, "why", "p"));
                refused("comment", it => client.FetchPackage("m", it, "p"));
                refused("path", it => client.FetchPackage("m", "why", it));
                refused("actionId", it => client.GetAction(it));
                refused("actionId", it => client.WaitAction(it));
                refused("actionId", it => client.GetPackageUri(it));
                refused("actionId", it => client.CancelAction(it, "why"));
                refused("comment", it => client.CancelAction("a", it));
                refused("actionId", it => client.DownloadPackage(it, "p"));
                refused("path", it => client.DownloadPackage("a", it));
                refused("odataFilter", it => client.ListActions(it));
                refused("query", it => client.FindMachines(it));
                refused("path", it => MdeLibrary.InspectPackage(it));
                refused("json", it => MdeJson.Get(it, ""));
                refused("jsonPointer", it => MdeJson.Get("{}", it));
                using (var options = new MdeOptions())
                {
                    refused("name", it => options.Set(it, "x"));
                    refused("value", it => options.Set("tenant_id", it));
                    refused("json", it => options.SetJson(it));
                }
            }
            Check.Equal("options", Check.Throws<ArgumentNullException>(() => new MdeClient(null!)).ParamName);
        }

        private static void Text()
        {
            const string Various = "\u00e4\u6f22\U0001f50d e\u0301 \"\\/\t";
            Check.Equal(Various, MdeJson.Get("{\"a\u00e4\U0001f50d\":\"" + Various.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\t", "\\t") + "\"}", "/a\u00e4\U0001f50d"));
            Check.Equal("", MdeJson.Get("{\"a\":\"\"}", "/a"));
            var missing = Check.File("\u6f22\U0001f50d.zip");
            var e = Check.Fails(MdeStatus.File, () => MdeLibrary.InspectPackage(missing));
            Check.Has(e.Message, "\u6f22\U0001f50d.zip");
            Check.Has(e.Error.Json, "\"status\":100");
        }

        private static void OptionsExplain()
        {
            using (var options = new MdeOptions())
            {
                Check.Has(Check.Fails(MdeStatus.Config, () => options.Set("nonsense", "1")).Message, "nonsense");
                Check.Has(Check.Fails(MdeStatus.Config, () => options.Set("max_retries", 99)).Message, "max_retries");
                Check.Has(Check.Fails(MdeStatus.Config, () => options.SetJson("{\"max_retries\":-1}")).Message, "max_retries");
                options.SetJson("{\"max_retries\":3}").Set("timeout_ms", TimeSpan.FromSeconds(5));
                Check.Fails(MdeStatus.Config, () => new MdeClient(options));
                Check.Equal("name", Check.Throws<ArgumentException>(() => options.Set("tenant_id", TimeSpan.Zero)).ParamName);
                Check.Equal("value", Check.Throws<ArgumentOutOfRangeException>(
                    () => options.Set("timeout_ms", Timeout.InfiniteTimeSpan)).ParamName);
                // A part of a millisecond is not 0, which would be no limit.
                options.Set("timeout_ms", TimeSpan.FromTicks(1));
            }
        }

        private static void Documents()
        {
            const string Json = "{\"a\":{\"b\":[1,null,true,{\"c\":\"d\"}]}}";
            Check.Equal("d", MdeJson.Get(Json, "/a/b/3/c"));
            Check.Equal("true", MdeJson.Get(Json, "/a/b/2"));
            Check.Equal(null, MdeJson.Get(Json, "/a/b/1"));
            Check.Equal(null, MdeJson.Get(Json, "/a/x"));
            Check.Fails(MdeStatus.InvalidArgument, () => MdeJson.Get("{", ""));
            Check.Has(Check.Fails(MdeStatus.InvalidArgument, () => MdeJson.Get("{}", "x")).Message, "begins with a slash");
        }
    }
}

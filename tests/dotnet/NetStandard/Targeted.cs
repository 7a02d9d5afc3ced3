using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Formatters.Binary;
using System.Threading;
using Mde;

namespace Mde.Tests
{
    /// <summary>What only the assembly for .NET Standard has.</summary>
    internal static class Targeted
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["exceptions_pass_between_domains"] = Serialized;
            checks["an_abort_of_a_callback_ends_there"] = Aborted;
        }

        [Serializable]
        private sealed class Derived : MdeException
        {
            internal Derived(MdeError error) : base(error)
            {
            }

            private Derived(SerializationInfo info, StreamingContext context) : base(info, context)
            {
            }
        }

        /// <summary>Mono has it, .NET Core refuses it.</summary>
        private static void Aborted()
        {
            using (var client = Check.Client())
            {
                var id = client.CollectPackage(Check.Machine(0), "why").Action.Id;
                MdeLog.Set(MdeLogLevel.Debug, (level, line) => Thread.CurrentThread.Abort());
                var e = Check.Throws<MdeCallbackException>(
                    () => client.WaitAction(id, new Direct(it => Thread.CurrentThread.Abort())));
                MdeLog.Set(MdeLogLevel.Off, null);
                Check.True(e.InnerException is ThreadAbortException || e.InnerException is PlatformNotSupportedException, e.ToString());
                Check.Equal(e.InnerException is ThreadAbortException, Type.GetType("Mono.Runtime") != null);
                Check.Equal("Succeeded", client.WaitAction(id).Action.Status);
            }
        }

        private static T Copy<T>(T exception) where T : Exception
        {
            var formatter = new BinaryFormatter();
            using (var bytes = new MemoryStream())
            {
                formatter.Serialize(bytes, exception);
                bytes.Position = 0;
                return (T)formatter.Deserialize(bytes);
            }
        }

        private static void Serialized()
        {
            var error = new MdeError("{\"error\":{\"status\":61,\"name\":\"not_found\",\"message\":\"gone\",\"action_id\":\"a1\",\"retryable\":false}}");
            var copy = Copy(new MdeException(error, new InvalidOperationException("inner")));
            Check.True(copy.Status == MdeStatus.NotFound && copy.ActionId == "a1" && copy.Message == "gone", copy.ToString());
            Check.Equal(error.Json, copy.Error.Json);
            Check.Equal("inner", copy.InnerException?.Message);
            Check.Equal("inner", Copy(new MdeCallbackException(error, new InvalidOperationException("inner"))).InnerException?.Message);
            Check.Equal("a1", Copy(new MdeCanceledException(error, new CancellationToken(true))).ActionId);
            Check.Equal("a1", Copy(new Derived(error)).ActionId);
            copy = Copy(new MdeException(MdeStatus.DiskFull, "no room"));
            Check.True(copy.Status == MdeStatus.DiskFull && copy.Error.Json == null && copy.Message == "no room", copy.ToString());
        }
    }
}

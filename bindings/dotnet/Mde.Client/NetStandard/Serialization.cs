using System;
using System.Runtime.Serialization;

namespace Mde
{
    // Exceptions pass between application domains of .NET Framework by this. Newer targets have no such thing.

    [Serializable]
    public partial class MdeException
    {
        /// <summary>For classes that are serialized as well.</summary>
        /// <param name="info">Has the error.</param>
        /// <param name="context">Is not used.</param>
        protected MdeException(SerializationInfo info, StreamingContext context) : base(info, context)
        {
            Error = SerializedError.Read(info);
        }

        /// <inheritdoc/>
        public override void GetObjectData(SerializationInfo info, StreamingContext context)
        {
            base.GetObjectData(info, context);
            SerializedError.Write(info, Error);
        }
    }

    [Serializable]
    public partial class MdeCallbackException
    {
        private MdeCallbackException(SerializationInfo info, StreamingContext context) : base(info, context)
        {
        }
    }

    [Serializable]
    public partial class MdeCanceledException
    {
        private MdeCanceledException(SerializationInfo info, StreamingContext context) : base(info, context)
        {
            Error = SerializedError.Read(info);
        }

        /// <inheritdoc/>
        public override void GetObjectData(SerializationInfo info, StreamingContext context)
        {
            base.GetObjectData(info, context);
            SerializedError.Write(info, Error);
        }
    }

    internal static class SerializedError
    {
        internal static MdeError Read(SerializationInfo info)
        {
            var status = info.GetInt32("Mde.Status");
            var json = info.GetString("Mde.Json");
            return json == null
                ? new MdeError((MdeStatus)status, info.GetString("Mde.Message") ?? "")
                : MdeError.Of(status, json);
        }

        internal static void Write(SerializationInfo info, MdeError error)
        {
            info.AddValue("Mde.Status", (int)error.Status);
            info.AddValue("Mde.Json", error.Json);
            info.AddValue("Mde.Message", error.Message);
        }
    }
}

using System;
using System.Collections;

namespace Mde.Native
{
    /// <summary>What a call came to, in the Data of an exception that is not one of this library.</summary>
    internal static class Outcome
    {
        internal static void Attach(Exception thrown, int status, string json)
        {
            try
            {
                // Numbers and text alone: .NET Framework takes nothing there that cannot be serialized.
                thrown.Data[MdeException.StatusKey] = status;
                thrown.Data[MdeException.JsonKey] = json;
            }
            catch (Exception)
            {
                // Some of the runtime's own exceptions, and whatever a program derives, take no data. Such a one is
                // still worth more to its program than a complaint about that.
            }
        }

        /// <summary>Whether there is one.</summary>
        internal static bool Of(Exception thrown, out MdeStatus status, out string json)
        {
            // A property of the exception, which may be the program's own.
            IDictionary data = thrown.Data;
            var found = data != null && data[MdeException.StatusKey] is int;
            status = found ? (MdeStatus)(int)data[MdeException.StatusKey] : MdeStatus.Ok;
            json = found ? data[MdeException.JsonKey] as string : null;
            return found;
        }
    }
}

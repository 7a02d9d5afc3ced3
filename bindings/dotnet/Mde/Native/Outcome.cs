using System;
using System.Collections;

namespace Mde.Native
{
    /// <summary>The outcome of a call, in the Data of an exception that is not one of this library.</summary>
    internal static class Outcome
    {
        internal static void Attach(Exception thrown, int status, string json)
        {
            try
            {
                // Only a number and text, since .NET Framework accepts nothing that cannot be serialized.
                thrown.Data[MdeException.StatusKey] = status;
                thrown.Data[MdeException.JsonKey] = json;
            }
            catch (Exception)
            {
                // Some exceptions take no data. The program needs such an exception more than an error about that.
            }
        }

        /// <summary>Reads the outcome from an exception. Returns whether it has one.</summary>
        internal static bool Of(Exception thrown, out MdeStatus status, out string json)
        {
            // The program's exceptions may override Data.
            IDictionary data = thrown.Data;
            var found = data != null && data[MdeException.StatusKey] is int;
            status = found ? (MdeStatus)(int)data[MdeException.StatusKey] : MdeStatus.Ok;
            json = found ? data[MdeException.JsonKey] as string : null;
            return found;
        }
    }
}

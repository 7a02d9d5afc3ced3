using System;

namespace Mde.Native
{
    /// <summary>
    /// <c>Thread.Abort</c>, which .NET Framework and Mono have: the exception is thrown again where it was caught, and would
    /// then pass through native code.
    /// </summary>
    internal static partial class Aborts
    {
        /// <summary>Ends an abort that a callback caught. The program gets it with that callback's exception.</summary>
        internal static void End(Exception caught)
        {
            EndOnTarget(caught);
        }

        static partial void EndOnTarget(Exception caught);
    }
}

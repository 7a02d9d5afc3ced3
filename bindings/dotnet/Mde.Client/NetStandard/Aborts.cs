using System;
using System.Threading;

namespace Mde.Native
{
    internal static partial class Aborts
    {
        static partial void EndOnTarget(Exception caught)
        {
            if (caught is ThreadAbortException)
            {
                Thread.ResetAbort();
            }
        }
    }
}

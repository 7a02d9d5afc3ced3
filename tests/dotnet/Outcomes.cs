using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Mde;

namespace Mde.Tests
{
    /// <summary>
    /// What a call came to is not lost, whatever callbacks and tokens do meanwhile. Runs with <c>outcomes.c</c> in place
    /// of the library: the id of an action says there how the call ends.
    /// </summary>
    internal static class Outcomes
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
            checks["stand_in_a_receiver_that_throws_has_the_outcome"] = Receiver;
            checks["stand_in_a_provider_that_throws_has_the_outcome"] = Provider;
            checks["stand_in_a_call_that_succeeded_gives_its_result"] = Succeeded;
            checks["stand_in_giving_up_is_being_cancelled"] = GivingUp;
            checks["stand_in_an_unreadable_document_is_handed_on"] = Unreadable;
        }

        private class Own : Exception
        {
        }

        private static MdeClient Client(Action? provider = null)
        {
            using (var options = new MdeOptions())
            {
                if (provider != null)
                {
                    options.SetTokenProvider((scope, cancellation) => { provider(); return new MdeAccessToken("none"); });
                }
                return new MdeClient(options);
            }
        }

        private static MdeCallbackException Thrown(MdeStatus status, string json, Action call)
        {
            var e = Check.Throws<MdeCallbackException>(call);
            Check.True(e.InnerException is Own, "as it was thrown: " + e);
            Check.Equal(status, e.Status);
            Check.Has(e.Error.Json, json);
            return e;
        }

        private static void Receiver()
        {
            using (var client = Client())
            {
                var throws = new Direct(it => { throw new Own(); });
                var e = Thrown(MdeStatus.Ok, "\"Succeeded\"", () => client.WaitAction("succeeds", throws));
                Check.Equal("Succeeded", new MachineActionResult(e.Error.Json ?? "").Action.Status);

                e = Thrown(MdeStatus.NotFound, "\"a1\"", () => client.WaitAction("fails", throws));
                Check.True(e.ActionId == "a1" && e.Error.Message == "gone", e.Error.Json);
                Check.Has(e.Message, "The call ended with not_found.");

                e = Thrown(MdeStatus.NotFound, "\"a1\"", () => client.WaitActionAsync("fails", throws).GetAwaiter().GetResult());
                Check.Equal("a1", e.ActionId);

                // The exception of a call that the receiver made is within that of the outer call.
                e = Check.Throws<MdeCallbackException>(() => client.WaitAction(
                    "is cancelled", new Direct(it => client.GetAction("fails"))));
                Check.Equal(MdeStatus.Cancelled, e.Status);
                Check.Equal(MdeStatus.NotFound, (e.InnerException as MdeException)?.Status);
            }
        }

        private static void Provider()
        {
            using (var client = Client(() => { throw new Own(); }))
            {
                Thrown(MdeStatus.Token, "\"none\"", () => client.GetAction("has no token"));
                // It ended for another reason: that is what comes out, and what was thrown is not lost either.
                var e = Check.Fails(MdeStatus.NotFound, () => client.GetAction("fails"));
                Check.True(e.InnerException is Own && !(e is MdeCallbackException), e.ToString());
                Check.Equal("Succeeded", client.GetAction("succeeds").Action.Status);
            }
        }

        private static void Succeeded()
        {
            using (var client = Client())
            {
                using (var stop = new CancellationTokenSource())
                {
                    Check.Equal("a1", client.WaitAction("succeeds", new Direct(it => stop.Cancel()), stop.Token).Action.Id);
                    Check.Equal("a1", client.WaitAction("succeeds", null, stop.Token).Action.Id);
                }
                using (var stop = new CancellationTokenSource())
                {
                    var task = client.WaitActionAsync("succeeds", new Direct(it => stop.Cancel()), stop.Token);
                    Check.Equal("a1", task.GetAwaiter().GetResult().Action.Id);
                    Check.Equal(TaskStatus.RanToCompletion, task.Status);
                }
                using (var stop = new CancellationTokenSource())
                {
                    Check.Equal("a1", client.WaitAction("succeeds", GivesUp(stop), stop.Token).Action.Id);
                }
            }
        }

        private static IProgress<ProgressEvent> GivesUp(CancellationTokenSource stop)
        {
            return new Direct(it =>
            {
                stop.Cancel();
                stop.Token.ThrowIfCancellationRequested();
            });
        }

        private static void GivingUp()
        {
            using (var client = Client())
            using (var stop = new CancellationTokenSource())
            {
                var e = Check.Throws<MdeCanceledException>(() => client.WaitAction("is cancelled", GivesUp(stop), stop.Token));
                Check.True(e.InnerException is OperationCanceledException && e.CancellationToken == stop.Token, e.Error.Json);
                Check.True(e.ActionId == "a1" && e.IsOutcomeUnknown, e.Error.Json);
            }
            using (var client = Client())
            using (var stop = new CancellationTokenSource())
            {
                var task = client.WaitActionAsync("is cancelled", GivesUp(stop), stop.Token);
                Check.Equal("a1", Check.Throws<MdeCanceledException>(() => task.GetAwaiter().GetResult()).ActionId);
                Check.Equal(TaskStatus.Canceled, task.Status);
            }
            using (var stop = new CancellationTokenSource())
            using (var client = Client(() => { stop.Cancel(); stop.Token.ThrowIfCancellationRequested(); }))
            {
                var e = Check.Throws<MdeCanceledException>(() => client.GetAction("has no token", stop.Token));
                Check.True(e.InnerException is OperationCanceledException && e.Error.Status == MdeStatus.Token, e.Error.Json);
            }
            // Another token than that of the call, a timeout of the program's own, is an exception like any other.
            using (var client = Client())
            {
                var e = Check.Throws<MdeCallbackException>(() => client.WaitAction(
                    "is cancelled", new Direct(it => { throw new OperationCanceledException(); })));
                Check.True(e.InnerException is OperationCanceledException, "as it was thrown");
                Check.Equal("a1", e.ActionId);
            }
        }

        private static void Unreadable()
        {
            using (var client = Client())
            {
                var e = Check.Fails(MdeStatus.Ok, () => client.WaitAction("succeeds oddly"));
                Check.True(e.InnerException is FormatException, e.ToString());
                Check.Equal("odd", e.Error.Json);
                e = Check.Fails(MdeStatus.NotFound, () => client.WaitAction("fails oddly"));
                Check.Equal("odd", e.Error.Json);
                Check.Has(e.Message, "not_found");
            }
        }
    }
}

using System;
using System.Collections;
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

        private sealed class WithoutData : Own
        {
            public override IDictionary Data => null;
        }

        private static MdeClient Client(Action provider = null)
        {
            using (var options = new MdeOptions())
            {
                if (provider != null)
                {
                    options.SetTokenProvider((scope, cancellation) => { provider(); return null; });
                }
                return new MdeClient(options);
            }
        }

        private static void Has(Exception e, MdeStatus status, string json)
        {
            Check.Equal((object)(int)status, e.Data[MdeException.StatusKey]);
            Check.Has((string)e.Data[MdeException.JsonKey], json);
        }

        private static void Receiver()
        {
            using (var client = Client())
            {
                var throws = new Direct(it => { throw new Own(); });
                var e = Check.Throws<Own>(() => client.WaitAction("succeeds", throws));
                Has(e, MdeStatus.Ok, "\"Succeeded\"");
                Check.True(MdeError.Of(e) == null, "no error in a success");

                e = Check.Throws<Own>(() => client.WaitAction("fails", throws));
                Has(e, MdeStatus.NotFound, "\"a1\"");
                var error = MdeError.Of(e);
                Check.True(error.Status == MdeStatus.NotFound && error.ActionId == "a1" && error.Message == "gone", error.Json);

                e = Check.Throws<Own>(() => client.WaitActionAsync("fails", throws).GetAwaiter().GetResult());
                Check.Equal("a1", MdeError.Of(e).ActionId);

                // The exception of a call that the receiver made: what the outer one came to is on top.
                var nested = Check.Fails(MdeStatus.NotFound, () => client.WaitAction(
                    "is cancelled", new Direct(it => client.GetAction("fails"))));
                Check.Equal(MdeStatus.Cancelled, MdeError.Of(nested).Status);

                Check.Throws<WithoutData>(() => client.WaitAction("fails", new Direct(it => { throw new WithoutData(); })));
                var failed = Check.Fails(MdeStatus.NotFound, () => client.WaitAction("fails"));
                Check.True(ReferenceEquals(failed.Error, MdeError.Of(failed)), "its own");
                Check.True(MdeError.Of(new Own()) == null, "of no call");
                Check.True(MdeError.Of(new WithoutData()) == null, "of no call");
                Check.Throws<ArgumentNullException>(() => MdeError.Of(null));
            }
        }

        private static void Provider()
        {
            using (var client = Client(() => { throw new Own(); }))
            {
                var e = Check.Throws<Own>(() => client.GetAction("has no token"));
                Has(e, MdeStatus.Token, "\"none\"");
                Check.Equal(MdeStatus.Token, MdeError.Of(e).Status);
                // It ended for another reason: that is what comes out, and what was thrown is not lost either.
                Check.True(Check.Fails(MdeStatus.NotFound, () => client.GetAction("fails")).InnerException is Own, "inside");
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
                Check.True(e.InnerException is OperationCanceledException && e.CancellationToken == stop.Token, e.Json);
                Check.True(e.ActionId == "a1" && e.OutcomeUnknown, e.Json);
                Check.True(ReferenceEquals(e.Error, MdeError.Of(e)), "its own");
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
                Check.True(e.InnerException is OperationCanceledException && e.Error.Status == MdeStatus.Token, e.Json);
            }
            // Another token than that of the call, a timeout of the program's own, is an exception like any other.
            using (var client = Client())
            {
                var e = Check.Throws<OperationCanceledException>(() => client.WaitAction(
                    "is cancelled", new Direct(it => { throw new OperationCanceledException(); })));
                Check.True(!(e is MdeCanceledException), "as it was thrown");
                Check.Equal("a1", MdeError.Of(e).ActionId);
            }
        }

        private static void Unreadable()
        {
            using (var client = Client())
            {
                Has(Check.Throws<Exception>(() => client.WaitAction("succeeds oddly")), MdeStatus.Ok, "odd");
                var e = Check.Fails(MdeStatus.NotFound, () => client.WaitAction("fails oddly"));
                Check.Equal("odd", e.Json);
                Check.Has(e.Message, "not_found");
            }
        }
    }
}

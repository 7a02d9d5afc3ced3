using System;
using System.Collections.Generic;
using Mde.Native;

namespace Mde
{
    /// <summary>
    /// A machine action, as the service describes it. Only <see cref="Id"/> is certain to be there. All its members are
    /// in the document.
    /// </summary>
    public sealed class MachineAction
    {
        internal MachineAction(JsonObject action)
        {
            Id = action.Required("id");
            Type = action.Text("type");
            Status = action.Text("status");
            MachineId = action.Text("machineId");
            ComputerDnsName = action.Text("computerDnsName");
            Requestor = action.Text("requestor");
            RequestorComment = action.Text("requestorComment");
            CreationTime = action.Time("creationDateTimeUtc");
            LastUpdateTime = action.Time("lastUpdateDateTimeUtc");
            ErrorHResult = action.Int32("errorHResult");
        }

        /// <summary>The GUID of the action.</summary>
        public string Id { get; }

        /// <summary>"CollectInvestigationPackage" for the actions that this library starts.</summary>
        public string? Type { get; }

        /// <summary>"Pending", "InProgress", "Succeeded", "Failed", "TimeOut" or "Cancelled".</summary>
        public string? Status { get; }

        /// <summary>The device.</summary>
        public string? MachineId { get; }

        /// <summary>The name of the device.</summary>
        public string? ComputerDnsName { get; }

        /// <summary>The user or application that requested it.</summary>
        public string? Requestor { get; }

        /// <summary>The comment of the request.</summary>
        public string? RequestorComment { get; }

        /// <summary>When it was created.</summary>
        public DateTimeOffset? CreationTime { get; }

        /// <summary>When it last changed.</summary>
        public DateTimeOffset? LastUpdateTime { get; }

        /// <summary>The error on the device; 0 for none.</summary>
        public int? ErrorHResult { get; }

        /// <summary>The id and the status.</summary>
        public override string ToString()
        {
            return "action " + Id + ", " + (Status ?? "status not known");
        }
    }

    /// <summary>The result of <see cref="MdeClient.CollectPackage"/>.</summary>
    public sealed class CollectResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"action":{"id":"…"},"adopted":false}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public CollectResult(string json) : base(json, out var document)
        {
            Action = new MachineAction(document.RequiredObject("action"));
            IsAdopted = document.Flag("adopted");
        }

        /// <summary>The action.</summary>
        public MachineAction Action { get; }

        /// <summary>
        /// The action was found rather than answered: a collection was running already, or the reply was lost and the
        /// list showed that this call had started it.
        /// </summary>
        public bool IsAdopted { get; }

        /// <summary>The action.</summary>
        public override string ToString()
        {
            return Action + (IsAdopted ? ", adopted" : "");
        }
    }

    /// <summary>The result of <see cref="MdeClient.GetAction"/> and <see cref="MdeClient.WaitAction"/>.</summary>
    public sealed class MachineActionResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"action":{"id":"…","status":"Succeeded"}}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public MachineActionResult(string json) : base(json, out var document)
        {
            Action = new MachineAction(document.RequiredObject("action"));
        }

        /// <summary>The action.</summary>
        public MachineAction Action { get; }

        /// <summary>The action.</summary>
        public override string ToString()
        {
            return Action.ToString();
        }
    }

    /// <summary>The result of <see cref="MdeClient.ListActions"/>.</summary>
    public sealed class MachineActionsResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"actions":[{"id":"…"}]}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public MachineActionsResult(string json) : base(json, out var document)
        {
            Actions = document.Objects("actions", it => new MachineAction(it));
        }

        /// <summary>The actions, newest first.</summary>
        public IReadOnlyList<MachineAction> Actions { get; }

        /// <summary>How many actions it has.</summary>
        public override string ToString()
        {
            return JsonObject.Count(Actions.Count, "action");
        }
    }

    /// <summary>The result of <see cref="MdeClient.CancelAction"/>.</summary>
    public sealed class CancelActionResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"action":{"id":"…"},"cancelled":true}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public CancelActionResult(string json) : base(json, out var document)
        {
            Action = new MachineAction(document.RequiredObject("action"));
            IsCancelled = document.Flag("cancelled");
        }

        /// <summary>The action.</summary>
        public MachineAction Action { get; }

        /// <summary>Whether the action ended as Cancelled. If not, it had already ended in another state.</summary>
        public bool IsCancelled { get; }

        /// <summary>The action.</summary>
        public override string ToString()
        {
            return Action.ToString();
        }
    }
}

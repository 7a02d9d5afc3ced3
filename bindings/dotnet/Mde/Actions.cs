using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>A machine action, as the service describes it. Only <see cref="Id"/> is certain to be there. All its members are in the document.</summary>
    public sealed class MachineAction
    {
        /// <summary>The GUID of the action.</summary>
        [JsonPropertyName("id")]
        public string Id { get; set; }

        /// <summary>"CollectInvestigationPackage" for the actions that this library starts.</summary>
        [JsonPropertyName("type")]
        public string Type { get; set; }

        /// <summary>"Pending", "InProgress", "Succeeded", "Failed", "TimeOut" or "Cancelled".</summary>
        [JsonPropertyName("status")]
        public string Status { get; set; }

        /// <summary>The device.</summary>
        [JsonPropertyName("machineId")]
        public string MachineId { get; set; }

        /// <summary>The name of the device.</summary>
        [JsonPropertyName("computerDnsName")]
        public string ComputerDnsName { get; set; }

        /// <summary>The user or application that requested it.</summary>
        [JsonPropertyName("requestor")]
        public string Requestor { get; set; }

        /// <summary>The comment of the request.</summary>
        [JsonPropertyName("requestorComment")]
        public string RequestorComment { get; set; }

        /// <summary>When it was created, as the service wrote it.</summary>
        [JsonPropertyName("creationDateTimeUtc")]
        public string Creation { get; set; }

        /// <summary>When it last changed, as the service wrote it.</summary>
        [JsonPropertyName("lastUpdateDateTimeUtc")]
        public string LastUpdate { get; set; }

        /// <summary>The error on the device, as the service wrote it; "0" for none.</summary>
        [JsonPropertyName("errorHResult")]
        public string ErrorHResult { get; set; }

        /// <summary>When it was created; null if the service did not report it.</summary>
        [JsonIgnore]
        public DateTimeOffset? CreationTime => Times.Parse(Creation);

        /// <summary>When it last changed; null if the service did not report it.</summary>
        [JsonIgnore]
        public DateTimeOffset? LastUpdateTime => Times.Parse(LastUpdate);
    }

    /// <summary>The result of <see cref="MdeClient.CollectPackage"/>.</summary>
    public sealed class CollectResult : MdeResult
    {
        /// <summary>The action.</summary>
        [JsonPropertyName("action")]
        public MachineAction Action { get; set; }

        /// <summary>The action was found rather than answered: a collection was running already, or the reply was lost and the list showed that this call had started it.</summary>
        [JsonPropertyName("adopted")]
        public bool Adopted { get; set; }
    }

    /// <summary>The result of <see cref="MdeClient.GetAction"/> and <see cref="MdeClient.WaitAction"/>.</summary>
    public sealed class ActionResult : MdeResult
    {
        /// <summary>The action.</summary>
        [JsonPropertyName("action")]
        public MachineAction Action { get; set; }
    }

    /// <summary>The result of <see cref="MdeClient.ListActions"/>.</summary>
    public sealed class ActionsResult : MdeResult
    {
        /// <summary>The actions, newest first.</summary>
        [JsonPropertyName("actions")]
        public IReadOnlyList<MachineAction> Actions { get; set; } = new MachineAction[0];
    }

    /// <summary>The result of <see cref="MdeClient.CancelAction"/>.</summary>
    public sealed class CancelResult : MdeResult
    {
        /// <summary>The action.</summary>
        [JsonPropertyName("action")]
        public MachineAction Action { get; set; }

        /// <summary>Whether the action ended as Cancelled. If not, it had already ended in another state.</summary>
        [JsonPropertyName("cancelled")]
        public bool Cancelled { get; set; }
    }
}
